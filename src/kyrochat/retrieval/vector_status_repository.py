"""Queries across bots and workspaces, for operators."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Bot, Chunk, Document, VectorSet, Workspace
from kyrochat.db.states import VectorSetState, VectorStore


async def workspace_ids(session: AsyncSession) -> Sequence[UUID]:
    """Return all workspaces."""
    return (await session.exec(select(Workspace.id).order_by(col(Workspace.id)))).all()


async def bots(session: AsyncSession) -> Sequence[Bot]:
    """Return the bots of the transaction's workspaces that are not deleted, the oldest first."""
    return (await session.exec(select(Bot).where(col(Bot.deleted_at).is_(None)).order_by(col(Bot.id)))).all()


async def count_live(session: AsyncSession, bot_id: UUID) -> int:
    """Return how many chunks of the bot are searched."""
    query = (
        select(func.count())
        .select_from(Chunk)
        .join(Document, (col(Document.id) == Chunk.document_id) & (col(Document.live_version) == Chunk.version))
        .where(Chunk.bot_id == bot_id, col(Document.deleted_at).is_(None))
    )
    return (await session.exec(query)).one()


async def in_use(session: AsyncSession) -> Sequence[tuple[VectorStore, str, int]]:
    """Return by which (store, scheme) how many bots of the transaction's workspaces are searched."""
    query = (
        select(VectorSet.store, VectorSet.scheme, func.count())
        .where(VectorSet.state == VectorSetState.SERVING)
        .group_by(col(VectorSet.store), col(VectorSet.scheme))
        .order_by(col(VectorSet.store), col(VectorSet.scheme))
    )
    return [(VectorStore(store), scheme, number) for store, scheme, number in await session.exec(query)]
