"""All rows of a database: read by its owner, and put back as they were."""

import json
from collections.abc import Iterable

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import SQLModel

import kyrochat.db.models  # noqa: F401  (fills the metadata)

# Bookkeeping: when something was last used changes whoever asks, and whatever for.
VOLATILE = ("last_used_at", "run_at")
# Those that others refer to come first.
TABLES = SQLModel.metadata.sorted_tables

# Of each table, rows as JSON: without bookkeeping, to compare, and as they are.
Rows = dict[str, dict[str, str]]


async def read_rows(owner: AsyncEngine) -> Rows:
    """Return all rows of all tables."""
    found: Rows = {table.name: {} for table in TABLES}
    async with owner.connect() as connection:
        for table, compared, whole in await connection.execute(_READ):
            found[table][compared] = whole
    return found


async def fingerprint(owner: AsyncEngine) -> str:
    """Return what is another text when any row is another one; much faster than reading them."""
    async with owner.connect() as connection:
        return str((await connection.execute(_FINGERPRINT)).scalar_one())


async def put_back(owner: AsyncEngine, before: Rows, after: Rows) -> None:
    """Turn the rows `after` into those `before`. Foreign keys may take others along: read them again."""
    gone = {name: [whole for key, whole in rows.items() if key not in after[name]] for name, rows in before.items()}
    new = {name: [whole for key, whole in rows.items() if key not in before[name]] for name, rows in after.items()}
    async with owner.begin() as connection:
        guarded = [name for (name,) in await connection.execute(_GUARDED) if gone[name] or new[name]]
        for name in guarded:
            await connection.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
        for table in reversed(TABLES):
            await _delete(connection, table, new[table.name], gone[table.name])
        for table in TABLES:
            await _upsert(connection, table, gone[table.name])
        for name in guarded:
            await connection.execute(text(f"ALTER TABLE {name} ENABLE TRIGGER USER"))


async def _delete(connection: AsyncConnection, table: Table, new: list[str], gone: list[str]) -> None:
    """Delete the rows that were not there. Those that only changed stay: a deletion would take others along."""
    key = [column.name for column in table.primary_key]
    kept = {_key(row, key) for row in gone}
    came = [row for row in new if _key(row, key) not in kept]
    if came:
        names = ", ".join(f'"{name}"' for name in key)
        query = f"DELETE FROM {table.name} WHERE ({names}) IN (SELECT {names} FROM {_records(table)})"
        await connection.execute(text(query), {"rows": _array(came)})


async def _upsert(connection: AsyncConnection, table: Table, rows: list[str]) -> None:
    if not rows:
        return
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    values = ", ".join(f'"{column.name}" = EXCLUDED."{column.name}"' for column in table.columns)
    query = f"INSERT INTO {table.name} SELECT * FROM {_records(table)} ON CONFLICT ({key}) DO UPDATE SET {values}"
    await connection.execute(text(query), {"rows": _array(rows)})


def _records(table: Table) -> str:
    return f"jsonb_populate_recordset(NULL::{table.name}, CAST(:rows AS text)::jsonb)"


def _array(rows: Iterable[str]) -> str:
    return f"[{','.join(rows)}]"


def _key(row: str, names: list[str]) -> tuple[object, ...]:
    values = json.loads(row)
    return tuple(values[name] for name in names)


_COMPARED = f"(to_jsonb(row) - '{{{','.join(VOLATILE)}}}'::text[])::text"
_READ = text(
    " UNION ALL ".join(
        f"SELECT '{table.name}', {_COMPARED}, to_jsonb(row)::text FROM {table.name} AS row" for table in TABLES
    ).replace(":", r"\:")
)
_LINES = " UNION ALL ".join(f"SELECT {_COMPARED} AS line FROM {table.name} AS row" for table in TABLES)
_FINGERPRINT = text(
    f"SELECT md5(string_agg(md5(line), '' ORDER BY md5(line))) FROM ({_LINES}) AS lines".replace(":", r"\:")
)
_GUARDED = text(
    "SELECT DISTINCT relname::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace"
)
