"""Queries on what rows say that stores hold, for those who compare the two."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Chunk, ChunkVector, VectorSet
from kyrochat.retrieval.vector_repository import LIVE_CHUNKS


async def documents_without_vector(session: AsyncSession, target: VectorSet, lost: Collection[UUID]) -> Sequence[UUID]:
    """Return the documents with live chunks that have no vector in the set; those of `lost` chunks are not there.

    Documents that are being read do not count: their vectors are on their way.
    """
    values = {"bot_id": target.bot_id, "set_id": target.id, "lost": list(lost)}
    return list((await (await session.connection()).execute(_DOCUMENTS_WITHOUT, values)).scalars())


_DOCUMENTS_WITHOUT = text(f"""
    SELECT DISTINCT chunk.document_id {LIVE_CHUNKS}
      AND live.status IN ('READY', 'FAILED')
      AND (chunk.id = ANY (CAST(:lost AS uuid[])) OR NOT EXISTS (
        SELECT FROM chunk_vec AS held WHERE held.chunk_id = chunk.id AND held.set_id = :set_id
      ))
""")  # noqa: S608 (its own text)


async def noted(session: AsyncSession, set_id: int) -> Sequence[UUID]:
    """Return the chunks whose vectors the set has, as rows say."""
    return (await session.exec(select(ChunkVector.chunk_id).where(ChunkVector.set_id == set_id))).all()


async def bots_of_chunks(session: AsyncSession, workspace_id: UUID) -> dict[UUID, UUID]:
    """Return the bot of each chunk of a workspace, of whatever version."""
    query = select(Chunk.id, Chunk.bot_id).where(Chunk.workspace_id == workspace_id)
    return dict((await session.exec(query)).all())
