"""One scene for all of the walk, and a world with each net."""

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.engine import asyncpg_url, open_database
from tests.access.actors import Walk, sign_in
from tests.access.scene import make_scene
from tests.access.world import Mould, Net, World


@pytest.fixture(scope="session")
async def walk(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Walk, None]:
    """The scene, with everybody signed in, in a database that worlds are copies of."""
    admin = create_async_engine(
        asyncpg_url(postgres.urls.owner).set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    directory = tmp_path_factory.mktemp("walk")
    empty = Mould(postgres, template, directory, admin)
    async with empty.copy("access_scene") as urls:
        database = open_database(urls.app)
        scene = await make_scene(database)
        await database.close()
        async with empty.running(urls) as world:
            credentials = await sign_in(world, scene)
        yield Walk(Mould(postgres, "access_scene", directory, admin), scene, credentials)
    await admin.dispose()


@pytest.fixture(scope="session")
async def world(walk: Walk) -> AsyncGenerator[World, None]:
    """A world to be refused in: nothing may change here."""
    async with walk.mould.world() as world:
        yield world


@pytest.fixture(scope="session", params=[Net.BOTH, Net.SCOPING, Net.ROW_SECURITY], ids=lambda net: net.value)
async def netted(request: pytest.FixtureRequest, walk: Walk) -> AsyncGenerator[World, None]:
    """A world with each net alone, and with both."""
    async with walk.mould.world(request.param) as world:
        yield world
