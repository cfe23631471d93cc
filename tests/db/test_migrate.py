"""Migrations up, down, at the same time, cut short, and on a database of the future."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import count

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.embedded import DatabaseUrls, EmbeddedPostgres
from kyrochat.db.engine import Database, asyncpg_url
from kyrochat.db.migrate import _run, check, migrate, migrations_dir, newest_revision
from kyrochat.errors import ConfigurationError
from tests.conftest import drop_database
from tests.factories import make_bot, make_document, make_viewer

_numbers = count(1)


@pytest.fixture
async def bare_url(postgres: EmbeddedPostgres) -> AsyncGenerator[str, None]:
    """The owner's URL of a database that nothing was ever done to; even pgvector is missing."""
    name = f"bare_{next(_numbers)}"
    url = asyncpg_url(postgres.urls.owner)
    admin = create_async_engine(url.set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} STRATEGY file_copy"))
    yield url.set(database=name).render_as_string(hide_password=False)
    async with admin.connect() as connection:
        await drop_database(connection, name)
    await admin.dispose()


@pytest.fixture
async def empty_url(urls: DatabaseUrls) -> str:
    """The owner's URL of a database with pgvector and nothing else."""
    await migrate(urls.owner, "base")
    await ask(urls.owner, "DROP TABLE alembic_version")
    return urls.owner


async def ask(url: str, question: str) -> list[object]:
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    async with engine.begin() as connection:
        result = await connection.execute(text(question))
        answer = list(result.scalars()) if result.returns_rows else []
    await engine.dispose()
    return answer


async def tables(url: str) -> set[object]:
    return set(await ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))


async def shape(url: str) -> list[object]:
    """All that a migration could forget on its way back: columns, indexes, constraints and policies."""
    return await ask(
        url,
        "SELECT format('%s.%s %s %s', table_name, column_name, data_type, is_nullable) AS line"
        " FROM information_schema.columns WHERE table_schema = 'public'"
        " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION ALL SELECT conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace"
        " UNION ALL SELECT tablename || policyname || cmd || qual FROM pg_policies"
        " UNION ALL SELECT relname || relrowsecurity || relforcerowsecurity FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY line",
    )


def test_the_newest_revision_is_the_one_that_alembic_would_upgrade_to() -> None:
    scripts = ScriptDirectory.from_config(_config())

    assert scripts.get_heads() == [newest_revision()]
    assert [script.revision for script in scripts.walk_revisions()] == sorted(
        (path.name.split("_")[0] for path in (migrations_dir() / "versions").glob("[0-9]*.py")), reverse=True
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_dir()))
    return config


async def test_the_migrated_tables_are_those_of_the_models(urls: DatabaseUrls) -> None:
    await check(urls.owner)


async def test_down_and_up_again_gives_the_same_database_also_when_it_held_data(
    urls: DatabaseUrls, database: Database
) -> None:
    bot = await make_bot(database, await make_viewer(database))
    await make_document(database, bot, "# Rivers\n\nThe Rhine is 1,233 km long.")
    before = await shape(urls.owner)
    await database.close()

    await migrate(urls.owner, "base")
    emptied = await tables(urls.owner)
    await migrate(urls.owner)

    assert emptied == {"alembic_version"}
    assert await shape(urls.owner) == before
    assert await ask(urls.owner, "SELECT count(*) FROM users") == [0]
    await check(urls.owner)


async def test_migrating_a_migrated_database_changes_nothing(urls: DatabaseUrls, database: Database) -> None:
    viewer = await make_viewer(database)
    before = await shape(urls.owner)

    await migrate(urls.owner)
    await migrate(urls.owner, newest_revision())

    assert await shape(urls.owner) == before
    assert await ask(urls.owner, "SELECT id FROM users") == [viewer.user_id]


async def test_four_processes_that_migrate_an_empty_database_at_once_all_come_up(empty_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(4)))

    assert await ask(empty_url, "SELECT version_num FROM alembic_version") == [newest_revision()]
    await check(empty_url)


async def test_a_migration_that_is_cut_short_leaves_nothing_and_the_next_start_completes_it(empty_url: str) -> None:
    engine = create_async_engine(asyncpg_url(empty_url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_run, "head")
        own = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        # What PostgreSQL sees of a killed process: its connection ends before the commit.
        await ask(empty_url, f"SELECT pg_terminate_backend({own})")
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT 1"))
    await engine.dispose()
    assert await tables(empty_url) == set()

    await migrate(empty_url)

    await check(empty_url)


async def test_a_process_that_waits_for_another_ones_migration_goes_on_when_that_one_dies(empty_url: str) -> None:
    engine = create_async_engine(asyncpg_url(empty_url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.begin()
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x6B79726F})
        await connection.run_sync(_run, "head")
        waiting = asyncio.create_task(migrate(empty_url))
        while await ask(empty_url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [0]:
            await asyncio.sleep(0.01)
        await connection.rollback()
    await asyncio.wait_for(waiting, 30)
    await engine.dispose()

    await check(empty_url)


@pytest.mark.parametrize("target", ["head", "base"])
async def test_a_database_newer_than_the_program_is_refused_and_left_alone(
    urls: DatabaseUrls, database: Database, target: str
) -> None:
    viewer = await make_viewer(database)
    await ask(urls.owner, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(ConfigurationError, match=r"9999.*newer"):
        await migrate(urls.owner, target)

    assert await ask(urls.owner, "SELECT version_num FROM alembic_version") == ["9999"]
    assert await ask(urls.owner, "SELECT id FROM users") == [viewer.user_id]


async def test_a_revision_that_does_not_exist_is_refused_with_its_name(urls: DatabaseUrls) -> None:
    with pytest.raises(ConfigurationError, match="'0815'"):
        await migrate(urls.owner, "0815")


async def test_a_database_without_pgvector_says_who_can_add_it_and_stays_empty(bare_url: str) -> None:
    with pytest.raises(ConfigurationError, match="CREATE EXTENSION vector"):
        await migrate(bare_url)

    assert await tables(bare_url) == set()
