"""HNSW indexes: one for each set of vectors that is too large to be compared one by one.

A set has an index of its own rather than a share in one for all. What a search finds then does not depend on how many
vectors other bots have, and small bots, most of them, pay nothing when theirs are stored.
"""

import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.engine import Database, asyncpg_url
from kyrochat.db.models import VectorSet
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.vector_search import EXACT_LIMIT, index_name

# Connections for each vector, and how well they are chosen: more of them cost time, and find more.
M, EF_CONSTRUCTION = 16, 128
# What building may hold in memory; larger graphs are built on disk, several times slower.
MIN_MEMORY_MB, MAX_MEMORY_MB = 64, 1_024
_GRAPH_BYTES = 700
# Any fixed number that nothing else locks, beside the set's.
_LOCK = 0x766563

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VectorIndexing:
    """Builds and drops indexes, as the tables' owner: nobody else may."""

    owner_url: str = field(repr=False)
    database: Database
    exact_limit: int = EXACT_LIMIT

    async def see_to(self, target: VectorSet) -> bool:
        """Build the set's index if it needs one and has none; say whether it has one now.

        Searches and ingestion go on meanwhile. It takes about a minute for 50,000 vectors.
        """
        if target.id is None or target.dimensions is None or not await self._is_large(target):
            return False
        async with self._owner() as connection:
            # Tried, not waited for: whoever waits holds a snapshot, for whose end the build would wait.
            locked = await connection.execute(
                text("SELECT pg_try_advisory_lock(:lock, :set_id)"), {"lock": _LOCK, "set_id": target.id}
            )
            if not locked.scalar_one() or not await _has_iterative_scans(connection):
                return False
            state = await _state(connection, target.id)
            if state is None or not state:
                await self._build(connection, target.id, target.dimensions)
            return True

    async def drop(self, set_id: int) -> None:
        """Drop a set's index, if it has one."""
        async with self._owner() as connection:
            await connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index_name(set_id)}"))

    async def drop_orphans(self) -> int:
        """Drop the indexes of sets that are gone, with their bots for example; return how many."""
        async with self._owner() as connection:
            names = await connection.execute(_INDEXES, {"pattern": index_name(0).replace("0", "%")})
            indexed = {int(found[1]) for name in names.scalars() if (found := re.search(r"_(\d+)$", name))}
            await connection.execute(_SEE_ALL)
            known = set((await connection.execute(text("SELECT id FROM vector_sets"))).scalars())
            for set_id in indexed - known:
                await connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index_name(set_id)}"))
            return len(indexed - known)

    async def _is_large(self, target: VectorSet) -> bool:
        async with self.database.begin([target.workspace_id]) as session:
            return await rows.has_more_than(session, target.id or 0, self.exact_limit)

    async def _build(self, connection: AsyncConnection, set_id: int, dimensions: int) -> None:
        log.info("Building the index of vector set %d", set_id)
        await connection.execute(_SEE_ALL)
        count = (
            await connection.execute(text("SELECT count(*) FROM chunk_vec WHERE set_id = :id"), {"id": set_id})
        ).scalar_one()
        memory_mb = min(max(count * (dimensions * 2 + _GRAPH_BYTES) >> 20, MIN_MEMORY_MB), MAX_MEMORY_MB)
        await connection.execute(text(f"SET maintenance_work_mem = '{memory_mb}MB'"))
        # Parallel builds want more shared memory than a container has by default.
        await connection.execute(text("SET max_parallel_maintenance_workers = 0"))
        # What a build that was cut off has left.
        await connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index_name(set_id)}"))
        await connection.execute(
            text(
                f"CREATE INDEX CONCURRENTLY {index_name(set_id)} ON chunk_vec"
                f" USING hnsw ((embedding::halfvec({dimensions})) halfvec_ip_ops)"
                f" WITH (m = {M}, ef_construction = {EF_CONSTRUCTION}) WHERE set_id = {set_id}"
            )
        )
        log.info("The index of vector set %d is built, of %d vectors", set_id, count)

    @asynccontextmanager
    async def _owner(self) -> AsyncGenerator[AsyncConnection, None]:
        # No statement timeout, and no transaction: building takes minutes, and refuses to be in one.
        engine = create_async_engine(asyncpg_url(self.owner_url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                yield connection
        finally:
            await engine.dispose()


async def _state(connection: AsyncConnection, set_id: int) -> bool | None:
    """Return whether the set's index is complete; None when there is none."""
    query = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    return (await connection.execute(query, {"name": index_name(set_id)})).scalar_one_or_none()


async def _has_iterative_scans(connection: AsyncConnection) -> bool:
    """Say whether pgvector is 0.8 or newer: before, an index on rows that are filtered finds too few."""
    query = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    found = str((await connection.execute(query)).scalar_one())
    return tuple(int(part) for part in found.split(".")[:2]) >= (0, 8)


_INDEXES = text("SELECT relname::text FROM pg_class WHERE relkind = 'i' AND relname LIKE :pattern")
# Row-level security holds for the owner, too.
_SEE_ALL = text("""
    SELECT set_config('kyrochat.workspaces', coalesce('{' || string_agg(id::text, ',') || '}', ''), false)
    FROM workspaces
""")
