"""Queries on sets of vectors and on which chunks have theirs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, exists, func, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Bot, Chunk, ChunkVector, Document, VectorSet
from kyrochat.db.states import VectorSetState, VectorStore

# Sets into which new chunks go.
WRITTEN = (VectorSetState.SERVING, VectorSetState.BUILDING)


@dataclass(frozen=True, slots=True)
class ChunkText:
    """What of a chunk is embedded."""

    chunk_id: UUID
    document_id: UUID
    version: int
    title: str
    heading: str | None
    text: str


async def serving(session: AsyncSession, bot_id: UUID) -> VectorSet | None:
    """Return the set that the bot is searched by."""
    query = select(VectorSet).where(VectorSet.bot_id == bot_id, VectorSet.state == VectorSetState.SERVING)
    return (await session.exec(query)).one_or_none()


async def sets_of_bot(session: AsyncSession, bot_id: UUID, *, keep: bool = False) -> Sequence[VectorSet]:
    """Return all sets of a bot, the oldest first; with `keep` none of them changes until the transaction ends."""
    query = select(VectorSet).where(VectorSet.bot_id == bot_id).order_by(col(VectorSet.id))
    if keep:
        query = query.with_for_update(read=True)
    return (await session.exec(query)).all()


async def lock_sets(session: AsyncSession, bot_id: UUID) -> Sequence[VectorSet]:
    """Return all sets of a bot, and keep everybody else off them until the transaction ends."""
    query = select(VectorSet).where(VectorSet.bot_id == bot_id).order_by(col(VectorSet.id)).with_for_update()
    return (await session.exec(query)).all()


async def sets_of_workspace(session: AsyncSession, workspace_id: UUID) -> Sequence[VectorSet]:
    """Return all sets of a workspace."""
    query = select(VectorSet).where(VectorSet.workspace_id == workspace_id).order_by(col(VectorSet.id))
    return (await session.exec(query)).all()


async def add_set(
    session: AsyncSession, bot_id: UUID, workspace_id: UUID, store: VectorStore, scheme: str, state: VectorSetState
) -> None:
    """Add a set to a bot; nothing happens when it has such a set, another one in that state, or is gone."""
    values = {"bot_id": bot_id, "workspace_id": workspace_id, "store": store, "scheme": scheme, "state": state}
    await (await session.connection()).execute(_ADD_SET, values)


_ADD_SET = text("""
    INSERT INTO vector_sets (workspace_id, bot_id, store, scheme, state)
    SELECT workspace_id, id, CAST(:store AS varchar), :scheme, CAST(:state AS varchar) FROM bots
    WHERE id = :bot_id AND workspace_id = :workspace_id AND deleted_at IS NULL FOR KEY SHARE
    ON CONFLICT DO NOTHING
""")


async def note_dimensions(session: AsyncSession, set_id: int, dimensions: int) -> int | None:
    """Note how long the vectors of a set are, and return how long they are; None when the set is gone."""
    values = {"set_id": set_id, "dimensions": dimensions}
    return (await (await session.connection()).execute(_NOTE_DIMENSIONS, values)).scalar_one_or_none()


_NOTE_DIMENSIONS = text("""
    UPDATE vector_sets SET dimensions = coalesce(dimensions, :dimensions) WHERE id = :set_id RETURNING dimensions
""")


async def has_live_chunks(session: AsyncSession, bot_id: UUID) -> bool:
    """Say whether anything of the bot can be found."""
    query = select(Document.id).where(
        Document.bot_id == bot_id, col(Document.deleted_at).is_(None), col(Document.live_version).is_not(None)
    )
    return (await session.exec(query.limit(1))).first() is not None


async def store(
    session: AsyncSession, target: VectorSet, chunk_ids: Sequence[UUID], vectors: Sequence[str] | None = None
) -> None:
    """Note that the set has the chunks' vectors, and store them where given (in pgvector's text form).

    Chunks that are gone meanwhile are left out, all of them when the set is.
    """
    given: Sequence[str | None] = vectors or [None] * len(chunk_ids)
    values: dict[str, object] = {"set_id": target.id, "ids": list(chunk_ids), "vectors": given}
    await (await session.connection()).execute(_STORE if vectors else _MARK, values)


# In the order of ids, as everybody who locks several chunks does it.
_MARK = text("""
    INSERT INTO chunk_vec (chunk_id, set_id, workspace_id, document_id, version, embedding)
    SELECT chunk.id, target.id, chunk.workspace_id, chunk.document_id, chunk.version, CAST(given.embedding AS halfvec)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:vectors AS text[])) AS given (id, embedding)
    JOIN chunks AS chunk ON chunk.id = given.id
    JOIN vector_sets AS target ON target.bot_id = chunk.bot_id
    WHERE target.id = :set_id
    ORDER BY chunk.id
    FOR KEY SHARE OF chunk, target
    ON CONFLICT (chunk_id, set_id) DO NOTHING
""")
_STORE = text(_MARK.text.replace("DO NOTHING", "DO UPDATE SET embedding = excluded.embedding"))


async def without_vector(
    session: AsyncSession, set_id: int, document_id: UUID, version: int, among: Sequence[UUID] | None = None
) -> set[UUID]:
    """Return the chunks of a version that have no vector in the set, all or those `among` them."""
    query = select(Chunk.id).where(
        Chunk.document_id == document_id,
        Chunk.version == version,
        ~exists().where(col(ChunkVector.chunk_id) == Chunk.id, col(ChunkVector.set_id) == set_id),
    )
    if among is not None:
        query = query.where(col(Chunk.id).in_(among))
    return set((await session.exec(query)).all())


async def live_without_vector(session: AsyncSession, target: VectorSet, limit: int) -> Sequence[UUID]:
    """Return up to `limit` chunks of the bot that are searched and have no vector in the set."""
    values = {"bot_id": target.bot_id, "set_id": target.id, "limit": limit}
    return list((await (await session.connection()).execute(_LIVE_WITHOUT, values)).scalars())


LIVE_CHUNKS = """
    FROM chunks AS chunk
    JOIN documents AS live ON live.id = chunk.document_id AND live.live_version = chunk.version
    WHERE chunk.bot_id = :bot_id AND live.deleted_at IS NULL
"""
_LIVE_WITHOUT = text(f"""
    SELECT chunk.id {LIVE_CHUNKS}
      AND NOT EXISTS (SELECT FROM chunk_vec AS held WHERE held.chunk_id = chunk.id AND held.set_id = :set_id)
    ORDER BY chunk.document_id, chunk.ordinal LIMIT :limit
""")  # noqa: S608 (its own text)


async def coverage(session: AsyncSession, target: VectorSet) -> tuple[int, int]:
    """Return how many chunks of the bot are searched, and how many of them have their vector in the set."""
    values = {"bot_id": target.bot_id, "set_id": target.id}
    row = (await (await session.connection()).execute(_COVERAGE, values)).one()
    return int(row.chunks), int(row.covered)


_COVERAGE = text(f"""
    SELECT count(*) AS chunks, count(held.chunk_id) AS covered
    FROM (SELECT chunk.id {LIVE_CHUNKS}) AS found
    LEFT JOIN chunk_vec AS held ON held.chunk_id = found.id AND held.set_id = :set_id
""")  # noqa: S608 (its own text)


async def texts(session: AsyncSession, chunk_ids: Sequence[UUID]) -> Sequence[ChunkText]:
    """Return what is embedded of the chunks, in no order; those that are gone are left out."""
    query = (
        select(Chunk, Document.title)
        .join(Document, col(Document.id) == Chunk.document_id)
        .where(col(Chunk.id).in_(chunk_ids))
    )
    return [
        ChunkText(chunk.id, chunk.document_id, chunk.version, title, chunk.heading, chunk.text)
        for chunk, title in await session.exec(query)
    ]


async def titles(session: AsyncSession, document_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Return the titles of documents, by their ids; those that are deleted, with their bots too, are left out."""
    query = (
        select(Document.id, Document.title)
        .join(Bot, col(Bot.id) == Document.bot_id)
        .where(col(Document.id).in_(document_ids), col(Document.deleted_at).is_(None), col(Bot.deleted_at).is_(None))
    )
    return dict((await session.exec(query)).all())


async def has_more_than(session: AsyncSession, set_id: int, limit: int) -> bool:
    """Say whether the set has more than `limit` vectors, without counting them all."""
    some = select(ChunkVector.chunk_id).where(ChunkVector.set_id == set_id).limit(limit + 1).subquery()
    return (await session.exec(select(func.count()).select_from(some))).one() > limit


async def forget_vectors(
    session: AsyncSession, set_id: int, *, limit: int | None = None, chunk_ids: Sequence[UUID] | None = None
) -> int:
    """Delete the set's rows, up to `limit` or those of the chunks, and return how many."""
    query = delete(ChunkVector).where(col(ChunkVector.set_id) == set_id)
    if chunk_ids is not None:
        query = query.where(col(ChunkVector.chunk_id).in_(chunk_ids))
    if limit is not None:
        some = select(ChunkVector.chunk_id).where(ChunkVector.set_id == set_id).limit(limit)
        query = query.where(col(ChunkVector.chunk_id).in_(some))
    return (await session.exec(query)).rowcount


async def delete_set(session: AsyncSession, set_id: int) -> None:
    """Delete a set, and the rows that are left of it."""
    await session.exec(delete(VectorSet).where(col(VectorSet.id) == set_id))


async def forget_document(session: AsyncSession, document_id: UUID, keep_version: int | None) -> int:
    """Delete the vectors of a document, or of all versions but one, and return how many lay in PostgreSQL."""
    values = {"document_id": document_id, "keep": keep_version}
    return int((await (await session.connection()).execute(_FORGET_DOCUMENT, values)).scalar_one())


# Through the chunks, which have an index for that.
_FORGET_DOCUMENT = text("""
    WITH gone AS (
        DELETE FROM chunk_vec USING chunks AS chunk
        WHERE chunk_vec.chunk_id = chunk.id AND chunk.document_id = :document_id
          AND chunk.version IS DISTINCT FROM CAST(:keep AS integer)
        RETURNING chunk_vec.embedding IS NOT NULL AS was_here
    ) SELECT count(*) FILTER (WHERE was_here) FROM gone
""")


async def held_under(session: AsyncSession, target: VectorSet, chunk_ids: Sequence[UUID]) -> Sequence[tuple[UUID, str]]:
    """Return (chunk id, vector in pgvector's text form) of what other sets of the same scheme hold in PostgreSQL."""
    values = {"bot_id": target.bot_id, "set_id": target.id, "scheme": target.scheme, "ids": list(chunk_ids)}
    rows = await (await session.connection()).execute(_HELD_UNDER, values)
    return [(row.chunk_id, row.vector) for row in rows]


_HELD_UNDER = text("""
    SELECT DISTINCT ON (held.chunk_id) held.chunk_id, CAST(held.embedding AS text) AS vector
    FROM chunk_vec AS held JOIN vector_sets AS other ON other.id = held.set_id
    WHERE held.chunk_id = ANY (CAST(:ids AS uuid[])) AND held.embedding IS NOT NULL
      AND other.bot_id = :bot_id AND other.scheme = :scheme AND other.id <> :set_id
""")


async def lock_rebuild(connection: AsyncConnection, bot_id: UUID) -> bool:
    """Take the bot's rebuild for this connection, for as long as that lasts; False when somebody else has it."""
    found = await connection.execute(_LOCK_REBUILD, {"key": f"rebuild {bot_id}"})
    return bool(found.scalar_one())


async def unlock_rebuild(connection: AsyncConnection, bot_id: UUID) -> None:
    """Give it back."""
    await connection.execute(_UNLOCK_REBUILD, {"key": f"rebuild {bot_id}"})


_LOCK_REBUILD = text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))")
_UNLOCK_REBUILD = text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))")
