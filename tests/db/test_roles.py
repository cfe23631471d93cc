"""What the worker's role may touch: what ingesting and purging need, and nothing that lets anybody in."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import SQLModel

import kyrochat.db.models  # noqa: F401  (fills the metadata)
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database
from kyrochat.db.migrate import migrate
from kyrochat.db.roles import WORKER_TABLES

ALL_TABLES = {table.name for table in SQLModel.metadata.tables.values()}
CLOSED = sorted(ALL_TABLES - set(WORKER_TABLES))


async def granted(database: Database) -> dict[str, set[str]]:
    """Return what the pool's role may do with each table, if anything."""
    async with database.begin() as session:
        rows = await (await session.connection()).execute(
            text(
                "SELECT relname, privilege FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', "
                "'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege WHERE relnamespace = 'public'::regnamespace"
                " AND relkind = 'r' AND has_table_privilege(pg_class.oid, privilege)"
            )
        )
        found: dict[str, set[str]] = {}
        for table, privilege in rows:
            found.setdefault(table, set()).add(privilege)
    return found


async def test_the_worker_may_read_and_write_what_it_works_on_and_the_server_everything(
    database: Database, worker_database: Database
) -> None:
    full = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    of_server = await granted(database)
    of_server.pop("alembic_version", None)

    assert await granted(worker_database) == dict.fromkeys(WORKER_TABLES, full)
    assert of_server == dict.fromkeys(ALL_TABLES, full)


@pytest.mark.parametrize("table", CLOSED)
async def test_what_lets_people_in_is_closed_to_the_worker(worker_database: Database, table: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with worker_database.begin(administers=True) as session:
            await (await session.connection()).execute(text(f"SELECT * FROM {table}"))


def test_passwords_tokens_keys_and_the_audit_log_are_among_what_is_closed() -> None:
    secret = {"users", "user_sessions", "used_refresh_tokens", "password_resets", "api_keys", "invitations"}

    assert secret | {"audit_entries", "installation"} <= set(CLOSED)


async def test_migrating_down_and_up_opens_nothing(urls: DatabaseUrls, worker_database: Database) -> None:
    before = await granted(worker_database)
    await worker_database.close()

    await migrate(urls.owner, "base")
    await migrate(urls.owner)

    assert await granted(worker_database) == before
