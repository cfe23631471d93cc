"""What is left of somebody or something in a whole database: in any column of any table, seen past all policies."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.engine import asyncpg_url

_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"


async def remains(owner_url: str, *needles: object) -> dict[str, int]:
    """Return how many rows of which tables hold any of the needles: as an id, inside JSON, or as a part of a text."""
    engine = create_async_engine(asyncpg_url(owner_url), poolclass=NullPool)
    found: dict[str, int] = {}
    patterns = [f"%{needle}%" for needle in needles]
    try:
        async with engine.connect() as connection:
            tables = (await connection.execute(text(_TABLES))).scalars().all()
            await connection.rollback()
            for table in tables:
                # The owner is confined only as long as this is forced; nothing of it is committed. One table at a
                # time, since each is locked meanwhile.
                await connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
                query = text(f"SELECT count(*) FROM {table} AS whole WHERE whole::text ILIKE ANY (:patterns)")
                count = (await connection.execute(query, {"patterns": patterns})).scalar_one()
                await connection.rollback()
                if count:
                    found[table] = count
    finally:
        await engine.dispose()
    return found
