"""The two ways to find the nearest vectors of a set in PostgreSQL: exactly, and through an HNSW index.

Which one it is must not depend on what the planner believes: statistics are missing just after an upload. The form of
the statement decides.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Float, text
from sqlalchemy.sql.selectable import TextualSelect
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import VectorSet

# Up to here all vectors of a set are compared, at about 2 us each.
EXACT_LIMIT = 20_000
EF_SEARCH, MAX_EF_SEARCH = 200, 1_000


def index_name(set_id: int) -> str:
    """Return what the HNSW index of a set is called."""
    return f"chunk_vec_hnsw_{set_id}"


async def is_indexed(session: AsyncSession, set_id: int) -> bool:
    """Say whether the set has an HNSW index that is complete."""
    found = await (await session.connection()).execute(_IS_INDEXED, {"name": index_name(set_id)})
    return bool(found.scalar_one_or_none())


_IS_INDEXED = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


Documents = Sequence[UUID] | None


async def nearest(
    session: AsyncSession, target: VectorSet, query: str, limit: int, documents: Documents = None
) -> list[tuple[UUID, float]]:
    """Return up to `limit` (chunk id, inner product) of live chunks, best first; of all of the set's, compared.

    With `documents` only their chunks are looked at.
    """
    rows = await (await session.connection()).execute(EXACT, _values(target, query, limit, documents))
    return [(row.chunk_id, -row.distance) for row in rows]


async def scores(session: AsyncSession, target: VectorSet, query: str, chunk_ids: Sequence[UUID]) -> dict[UUID, float]:
    """Return the inner products of those of the chunks that have a vector in the set."""
    values = {"set_id": target.id, "query": query, "chunk_ids": list(chunk_ids)}
    rows = await (await session.connection()).execute(_SCORES, values)
    return {row.chunk_id: -row.distance for row in rows}


_SCORES = text("""
    SELECT hit.chunk_id, hit.embedding <#> CAST(:query AS halfvec) AS distance
    FROM chunk_vec AS hit
    WHERE hit.chunk_id = ANY (CAST(:chunk_ids AS uuid[])) AND hit.set_id = :set_id AND hit.embedding IS NOT NULL
""").columns(distance=Float)


async def nearly_nearest(session: AsyncSession, target: VectorSet, query: str, limit: int) -> list[tuple[UUID, float]]:
    """Return what `nearest` does, found through the set's index: one in a hundred is missed."""
    ef = min(max(EF_SEARCH, limit), MAX_EF_SEARCH)
    await (await session.connection()).execute(FORCE_INDEX, {"ef_search": str(ef)})
    rows = await (await session.connection()).execute(
        approximate(target.dimensions or 0), _values(target, query, limit, None)
    )
    # The relaxed order is only nearly one.
    return sorted(((row.chunk_id, -row.distance) for row in rows), key=lambda hit: -hit[1])


def _values(target: VectorSet, query: str, limit: int, documents: Documents) -> dict[str, object]:
    return {
        "set_id": target.id,
        "bot_id": target.bot_id,
        "query": query,
        "limit": limit,
        "documents": None if documents is None else list(documents),
    }


# Versions that are being written, or wait for their sweep, never compete for the limit. IS TRUE keeps the sub-select
# a hash table, built once, whatever the planner knows.
_LIVE = """
    FROM chunk_vec AS hit
    WHERE hit.set_id = :set_id AND ((hit.document_id, hit.version) IN (
        SELECT live.id, live.live_version FROM documents AS live
        WHERE live.bot_id = :bot_id AND live.deleted_at IS NULL
          AND (CAST(:documents AS uuid[]) IS NULL OR live.id = ANY (CAST(:documents AS uuid[])))
      )) IS TRUE
"""

# Adding 0 makes it another expression than the index's, so the index cannot be used.
EXACT = text(f"""
    SELECT hit.chunk_id, hit.embedding <#> CAST(:query AS halfvec) AS distance {_LIVE}
    ORDER BY (hit.embedding <#> CAST(:query AS halfvec)) + 0 LIMIT :limit
""").columns(distance=Float)

# Without sorting, only the index brings rows in order. A generic plan would not know the set, and so not its index.
FORCE_INDEX = text("""
    SELECT set_config('hnsw.ef_search', :ef_search, true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
      set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),
      set_config('plan_cache_mode', 'force_custom_plan', true)
""")


def approximate(dimensions: int) -> TextualSelect:
    """Return the statement that an index on vectors of so many dimensions answers."""
    kind = f"halfvec({int(dimensions)})"
    distance = f"CAST(hit.embedding AS {kind}) <#> CAST(:query AS {kind})"
    return text(f"""
        SELECT hit.chunk_id, {distance} AS distance {_LIVE}
        ORDER BY {distance} LIMIT :limit
    """).columns(distance=Float)
