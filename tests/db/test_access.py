"""Which roles serve: on the embedded database its own, on an operator's superuser ones that are made and assumed."""

import time
from pathlib import Path

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.access import (
    DatabaseAccess,
    _bypasses,
    _confine,
    database_access,
    refuse_to_bypass,
)
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, asyncpg_url, open_database
from kyrochat.db.migrate import check
from kyrochat.db.roles import APP, WORKER
from kyrochat.errors import ConfigurationError
from kyrochat.settings import Settings
from tests.factories import make_bot, make_viewer


def settings_for(url: str, directory: Path) -> Settings:
    return Settings(_env_file=None, database_url=url, data_dir=directory)


async def ask(url: str, question: str) -> list[object]:
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    async with engine.begin() as connection:
        result = await connection.execute(text(question))
        answer = list(result.scalars()) if result.returns_rows else []
    await engine.dispose()
    return answer


async def who(database: Database) -> tuple[str, bool]:
    async with database.engine.connect() as connection:
        name = (await connection.execute(text("SELECT current_user"))).scalar_one()
        return str(name), await _bypasses(connection)


async def test_a_superusers_url_is_served_under_roles_that_cannot_bypass(superuser_url: str, tmp_path: Path) -> None:
    async with database_access(settings_for(superuser_url, tmp_path)) as access:
        app, worker = access.open_app(), access.open_worker(2)
        await refuse_to_bypass(app)
        await refuse_to_bypass(worker)
        assert await who(app) == (APP, False)
        assert await who(worker) == (WORKER, False)
        viewer = await make_viewer(app)
        bot = await make_bot(app, viewer)
        # And row-level security really holds for them, while the URL's own role would see the row.
        for database in (app, worker):
            async with database.begin() as session:
                found = await (await session.connection()).execute(text("SELECT count(*) FROM bots"))
                assert found.scalar_one() == 0
        assert await ask(superuser_url, "SELECT id FROM bots") == [bot.id]
        await app.close()
        await worker.close()

    # A second start finds the roles there, and migrates nothing.
    async with database_access(settings_for(superuser_url, tmp_path), migrating=False) as access:
        assert (access.app_role, access.worker_role) == (APP, WORKER)
    await check(superuser_url)


async def test_serving_as_superuser_is_refused(superuser_url: str) -> None:
    database = open_database(superuser_url)

    with pytest.raises(ConfigurationError, match="SUPERUSER"):
        await refuse_to_bypass(database)

    await database.close()


async def test_serving_as_a_role_with_bypassrls_is_refused(superuser_url: str) -> None:
    await ask(superuser_url, "CREATE ROLE sly LOGIN NOSUPERUSER BYPASSRLS")
    sly = superuser_url.replace("boss@", "sly@")
    database = open_database(sly)

    with pytest.raises(ConfigurationError, match="BYPASSRLS"):
        await refuse_to_bypass(database)
    # It may not make other roles either, so there is no way but another URL.
    with pytest.raises(ConfigurationError, match="may not make roles"):
        await _confine(sly)

    await database.close()


async def test_an_ordinary_owner_is_served_as_it_is(urls: DatabaseUrls, tmp_path: Path) -> None:
    async with database_access(settings_for(urls.owner, tmp_path)) as access:
        assert access == DatabaseAccess(DatabaseUrls(urls.owner, urls.owner, urls.owner))
        app = access.open_app()
        await refuse_to_bypass(app)
        await make_bot(app, await make_viewer(app))
        async with app.begin() as session:
            assert (await (await session.connection()).execute(text("SELECT count(*) FROM bots"))).scalar_one() == 0
        await app.close()


async def test_the_embedded_server_gives_each_role_its_own_url(urls: DatabaseUrls) -> None:
    access = DatabaseAccess(urls)
    app, worker = access.open_app(), access.open_worker(1)

    assert await who(app) == ("kyrochat_app", False)
    assert await who(worker) == ("kyrochat_worker", False)
    for database in (app, worker):
        with pytest.raises(Exception, match="must be owner"):
            async with database.begin() as session:
                await (await session.connection()).execute(text("ALTER TABLE bots DISABLE ROW LEVEL SECURITY"))
        await database.close()


async def test_a_wrong_password_or_name_ends_the_start_at_once_and_shows_no_password(
    urls: DatabaseUrls, tmp_path: Path
) -> None:
    right = asyncpg_url(urls.owner)
    wrong = right.set(password="hunter2hunter2").render_as_string(hide_password=False)
    wronger = URL.create(right.drivername, database=right.database, query=right.query).update_query_dict(
        {"user": "kyrochat_owner", "password": "hunter2hunter2"}
    )
    began = time.monotonic()

    for url in (wrong, wronger.render_as_string()):
        with pytest.raises(ConfigurationError, match="KYROCHAT_DATABASE_URL") as refused:
            async with database_access(settings_for(url, tmp_path)):
                pytest.fail("It was let in.")
        assert "hunter2" not in refused.value.message
        assert "kyrochat_owner" not in refused.value.message
        assert f"/{right.database}" in refused.value.message
    assert time.monotonic() - began < 5
