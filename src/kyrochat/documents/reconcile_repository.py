"""Queries for the reconciler: all rows of a workspace that stand for a file or a vector."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Chunk, Document, Workspace
from kyrochat.db.states import DocumentStatus

_SETTLED = (DocumentStatus.READY, DocumentStatus.FAILED)


async def workspace_ids(session: AsyncSession) -> Sequence[UUID]:
    """Return all workspaces."""
    return (await session.exec(select(Workspace.id).order_by(col(Workspace.id)))).all()


async def files(session: AsyncSession, workspace_id: UUID) -> set[str]:
    """Return the keys of all files that a row knows: of documents, deleted or not, and of their earlier versions."""
    query = select(Document.storage_key, Document.stale_files).where(Document.workspace_id == workspace_id)
    return {key for current, stale in await session.exec(query) for key in (current, *stale)}


async def files_needed(session: AsyncSession, workspace_id: UUID) -> dict[str, UUID]:
    """Return the documents that are not deleted, by the key of their file."""
    query = select(Document.storage_key, Document.id).where(
        Document.workspace_id == workspace_id, col(Document.deleted_at).is_(None), Document.storage_key != ""
    )
    return dict((await session.exec(query)).all())


def _stale(workspace_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    settled = exists().where(
        col(Document.id) == Chunk.document_id,
        col(Document.status).in_(_SETTLED),
        or_(col(Document.live_version).is_(None), col(Document.live_version) != Chunk.version),
    )
    return (col(Chunk.workspace_id) == workspace_id, settled)


async def count_stale_chunks(session: AsyncSession, workspace_id: UUID) -> int:
    """Return how many chunks there are of versions that are neither searched nor being read."""
    return (await session.exec(select(func.count()).where(*_stale(workspace_id)))).one()


async def delete_stale_chunks(session: AsyncSession, workspace_id: UUID) -> int:
    """Delete them, and return how many there were."""
    return (await session.exec(delete(Chunk).where(*_stale(workspace_id)))).rowcount
