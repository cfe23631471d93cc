"""One real PostgreSQL for the run, one fresh database a test, copied from a migrated template."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.changes import Changes
from kyrochat.db.embedded import DatabaseUrls, EmbeddedPostgres
from kyrochat.db.engine import Database, asyncpg_url, open_database
from kyrochat.db.migrate import migrate

TEMPLATE = "kyrochat"
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Generator[EmbeddedPostgres, None, None]:
    """The cluster of this test run: the very one that users get, minus fsync."""
    directory = Path(tempfile.mkdtemp(prefix="kyrochat-test-"))
    server = EmbeddedPostgres.start(directory, durable=False)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def template(postgres: EmbeddedPostgres) -> str:
    """A migrated database that nobody is connected to."""
    await migrate(postgres.urls.owner)
    return TEMPLATE


@pytest.fixture
async def urls(postgres: EmbeddedPostgres, template: str) -> AsyncGenerator[DatabaseUrls, None]:
    """The URLs of a fresh database, one for each role."""
    name = f"test_{next(_numbers)}"
    # Connected to `postgres`, since a template must have no connections.
    admin = create_async_engine(
        asyncpg_url(postgres.urls.owner).set(database="postgres"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield DatabaseUrls(*(_named(url, name) for url in (postgres.urls.owner, postgres.urls.app, postgres.urls.worker)))
    async with admin.connect() as connection:
        await drop_database(connection, name)
    await admin.dispose()


async def drop_database(connection: AsyncConnection, name: str) -> None:
    """Drop a test's database, whoever is connected to it."""
    try:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    except DBAPIError as error:
        # Autovacuum is at work in it, and only a superuser may end that. The cluster goes with the run anyway.
        if "terminate process" not in str(error.orig):
            raise


def _named(url: str, database: str) -> str:
    return asyncpg_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture
async def database(urls: DatabaseUrls) -> AsyncGenerator[Database, None]:
    """A pool under the role that serves requests."""
    opened = open_database(urls.app)
    yield opened
    await opened.close()


@pytest.fixture
async def worker_database(urls: DatabaseUrls) -> AsyncGenerator[Database, None]:
    """A pool under the role that works on jobs."""
    opened = open_database(urls.worker)
    yield opened
    await opened.close()


@pytest.fixture
async def changes(database: Database) -> AsyncGenerator[Changes, None]:
    """Doorbells that really listen."""
    bells = Changes()
    async with bells.listening(database.engine):
        yield bells
