"""Migrations on a database in use: two tenants' rows go down to the first tables and up again, and none is lost.

Row-level security is on all the while, and the owner is no superuser: what a migration forgets to look at stays behind.
"""

from collections.abc import AsyncGenerator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, asyncpg_url
from kyrochat.db.migrate import all_rows, check, migrate, migrations_dir
from tests.db.test_tenancy import Tenant, make_tenant

FIRST = "0001"
Tables = dict[str, list[str]]


def revisions() -> list[str]:
    """Return all revisions, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(migrations_dir()))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


@pytest.fixture
async def owner(urls: DatabaseUrls) -> AsyncGenerator[AsyncEngine, None]:
    engine = create_async_engine(asyncpg_url(urls.owner))
    yield engine
    await engine.dispose()


async def read(owner: AsyncEngine, *tenants: Tenant) -> Tables:
    """Return all rows of all tables, as JSON, as the tenants together see them."""
    async with owner.begin() as connection:
        ids = ",".join(str(tenant.workspace_id) for tenant in tenants)
        await connection.execute(
            text(
                "SELECT set_config('kyrochat.workspaces', :ids, true), set_config('kyrochat.administers', 'on', true)"
            ),
            {"ids": f"{{{ids}}}"},
        )
        names = await connection.execute(text("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"))
        return {
            name: sorted((await connection.execute(text(f"SELECT to_jsonb(row)::text FROM {name} AS row"))).scalars())
            for name in names.scalars()
            if name != "alembic_version"
        }


@pytest.fixture
async def tenants(database: Database) -> tuple[Tenant, Tenant]:
    made = await make_tenant(database, "ada@example.com"), await make_tenant(database, "bob@example.com")
    await database.close()
    return made


async def test_down_to_the_first_tables_and_up_again_twice_loses_no_row_that_both_know(
    urls: DatabaseUrls, owner: AsyncEngine, tenants: tuple[Tenant, Tenant]
) -> None:
    at_head = await read(owner, *tenants)
    await migrate(urls.owner, FIRST)
    at_first = await read(owner, *tenants)
    await migrate(urls.owner)
    up = await read(owner, *tenants)
    await migrate(urls.owner, FIRST)
    down = await read(owner, *tenants)
    await migrate(urls.owner)

    # Hardly a table is empty, down there and up here.
    assert {name for name, rows in at_first.items() if not rows} <= {"jobs", "used_refresh_tokens", "user_sessions"}
    assert counts(up, at_first) == counts(at_head, at_first) == counts(at_first, at_first)
    assert down == at_first
    assert counts(await read(owner, *tenants), up) == counts(up, up)
    await check(urls.owner)


def counts(tables: Tables, known: Tables) -> dict[str, int]:
    """Return how many rows the known ones of the tables have."""
    return {name: len(rows) for name, rows in tables.items() if name in known}


@pytest.mark.parametrize(("older", "newer"), list(zip(revisions(), revisions()[1:], strict=False)))
async def test_each_migration_keeps_the_rows_of_both_tenants(
    urls: DatabaseUrls, owner: AsyncEngine, tenants: tuple[Tenant, Tenant], older: str, newer: str
) -> None:
    await migrate(urls.owner, newer)
    above = await read(owner, *tenants)
    await migrate(urls.owner, older)
    below = await read(owner, *tenants)
    await migrate(urls.owner, newer)

    assert counts(below, above) == counts(above, below)
    assert counts(await read(owner, *tenants), below) == counts(below, above)
    await migrate(urls.owner)
    await check(urls.owner)


async def test_what_is_computed_from_rows_is_computed_for_all_tenants(
    urls: DatabaseUrls, owner: AsyncEngine, tenants: tuple[Tenant, Tenant]
) -> None:
    """0003 says of documents that are READY that nothing more is done for them."""
    await migrate(urls.owner, "0002")
    await migrate(urls.owner)

    documents = (await read(owner, *tenants))["documents"]
    assert [('"stage": "DONE"' in row, '"attempts": 1' in row) for row in documents] == [(True, True)] * 2


async def test_a_migration_sees_no_rows_unless_it_says_whose_table_it_changes(
    urls: DatabaseUrls, owner: AsyncEngine, tenants: tuple[Tenant, Tenant]
) -> None:
    def rename(connection: Connection) -> int:
        return connection.execute(text("UPDATE bots SET name = name || '!'")).rowcount

    def rename_all(connection: Connection) -> int:
        with all_rows(connection, "bots"):
            return rename(connection)

    async with owner.begin() as connection:
        assert await connection.run_sync(rename) == 0
        assert await connection.run_sync(rename_all) == 2
        assert await connection.run_sync(rename) == 0
    assert sorted('!"' in row for row in (await read(owner, *tenants))["bots"]) == [True, True]


async def test_a_migration_that_fails_in_the_middle_leaves_the_table_confined(
    urls: DatabaseUrls, owner: AsyncEngine, tenants: tuple[Tenant, Tenant]
) -> None:
    def break_off(connection: Connection) -> None:
        with all_rows(connection, "bots"):
            connection.execute(text("UPDATE bots SET top_k = 0"))

    with pytest.raises(DBAPIError, match="bots_top_k_check"):
        async with owner.begin() as connection:
            await connection.run_sync(break_off)
    async with owner.connect() as connection:
        forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'bots'"
        assert (await connection.execute(text(forced))).scalar_one() is True
        assert (await connection.execute(text("SELECT count(*) FROM bots"))).scalar_one() == 0
