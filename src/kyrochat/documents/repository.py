"""Queries on documents. One that is deleted, or whose bot is, is not found."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Bot, Chunk, Document, DocumentDeletion, DocumentVersion, WebPage
from kyrochat.db.states import DocumentStatus
from kyrochat.db.tenancy import Reach
from kyrochat.retrieval.filter_repository import conditions
from kyrochat.retrieval.search_settings import NO_FILTER, DocumentFilter


def _live(reach: Reach) -> SelectOfScalar[Document]:
    return (
        select(Document)
        .join(Bot, col(Bot.id) == Document.bot_id)
        .where(
            reach.covers(Document),
            col(Document.deleted_at).is_(None),
            col(Bot.deleted_at).is_(None),
        )
    )


async def get(session: AsyncSession, document_id: UUID, *, reach: Reach, for_update: bool = False) -> Document | None:
    """Return the document if it is in one of the workspaces: absent, deleted and foreign look the same."""
    query = _live(reach).where(Document.id == document_id)
    if for_update:
        query = query.with_for_update(of=Document)
    return (await session.exec(query)).one_or_none()


async def has_file(session: AsyncSession, document_id: UUID, storage_key: str) -> bool:
    """Say whether the document's row, deleted or not, points to that file."""
    query = select(Document.id).where(Document.id == document_id, Document.storage_key == storage_key)
    return (await session.exec(query)).first() is not None


async def forget_files(session: AsyncSession, document_id: UUID, keys: Sequence[str]) -> None:
    """Take deleted files off a document's list of those of earlier versions."""
    query = select(Document).where(Document.id == document_id).with_for_update()
    document = (await session.exec(query)).one_or_none()
    if document is not None:
        document.stale_files = [key for key in document.stale_files if key not in keys]
        session.add(document)


async def lock_quota(session: AsyncSession, workspace_id: UUID) -> None:
    """Let one transaction at a time count what a workspace holds, until its end."""
    await (await session.connection()).execute(_LOCK_QUOTA, {"id": str(workspace_id)})


_LOCK_QUOTA = text("SELECT pg_advisory_xact_lock(hashtextextended('quota ' || :id, 0))")


async def held(session: AsyncSession, workspace_id: UUID) -> tuple[int, int]:
    """Return how many documents a workspace holds, and of how many bytes."""
    query = select(func.count(), func.coalesce(func.sum(Document.byte_size), 0)).where(
        Document.workspace_id == workspace_id, col(Document.deleted_at).is_(None)
    )
    documents, size = (await session.exec(query)).one()
    return int(documents), int(size)


async def count_by_status(session: AsyncSession, bot_id: UUID, *, reach: Reach) -> dict[DocumentStatus, int]:
    """Return how many documents of a bot stand where; statuses without any are left out."""
    query = (
        select(Document.status, func.count())
        .where(Document.bot_id == bot_id, reach.covers(Document), col(Document.deleted_at).is_(None))
        .group_by(Document.status)
    )
    return {DocumentStatus(status): number for status, number in await session.exec(query)}


async def processing(session: AsyncSession, bot_id: UUID, limit: int, *, reach: Reach) -> Sequence[Document]:
    """Return up to `limit` documents of a bot that are being read, the oldest first."""
    query = (
        _live(reach)
        .where(Document.bot_id == bot_id, Document.status == DocumentStatus.PROCESSING)
        .order_by(col(Document.id))
        .limit(limit)
    )
    return (await session.exec(query)).all()


async def many(session: AsyncSession, document_ids: Sequence[UUID], *, reach: Reach) -> Sequence[Document]:
    """Return those of the documents that are in the workspaces, in no order."""
    return (await session.exec(_live(reach).where(col(Document.id).in_(document_ids)))).all()


async def page_of(
    session: AsyncSession,
    bot_id: UUID,
    request: PageRequest,
    *,
    reach: Reach,
    status: DocumentStatus | None,
    wanted: DocumentFilter = NO_FILTER,
) -> Page[Document]:
    """Return one page of a bot's documents, newest first, all or those of one status and a filter."""
    query = _live(reach).where(Document.bot_id == bot_id, *conditions(bot_id, wanted))
    if status is not None:
        query = query.where(Document.status == status)
    return await page(session, query, Document.id, request)


async def count(
    session: AsyncSession, bot_id: UUID, *, reach: Reach, status: DocumentStatus | None, wanted: DocumentFilter
) -> int:
    """Return how many documents `page_of` leads through."""
    query = select(func.count()).where(
        Document.bot_id == bot_id,
        reach.covers(Document),
        col(Document.deleted_at).is_(None),
        *conditions(bot_id, wanted),
    )
    if status is not None:
        query = query.where(Document.status == status)
    return (await session.exec(query)).one()


async def by_content(session: AsyncSession, bot_id: UUID, content_hash: bytes) -> Document | None:
    """Return the bot's document of this content."""
    query = select(Document).where(
        Document.bot_id == bot_id, Document.content_hash == content_hash, col(Document.deleted_at).is_(None)
    )
    return (await session.exec(query)).one_or_none()


async def lock_for_work(session: AsyncSession, document_id: UUID, version: int) -> Document | None:
    """Lock the document for a step of its ingestion; None when it, or its bot, was deleted, or moved on."""
    query = (
        select(Document)
        .join(Bot, col(Bot.id) == Document.bot_id)
        .where(
            Document.id == document_id,
            Document.version == version,
            col(Document.deleted_at).is_(None),
            col(Bot.deleted_at).is_(None),
        )
        .with_for_update(of=Document)
    )
    return (await session.exec(query)).one_or_none()


async def from_now(session: AsyncSession, seconds: float) -> datetime:
    """Return a time by the database's clock."""
    moment: datetime = (await session.exec(select(func.statement_timestamp() + timedelta(seconds=seconds)))).one()
    return moment


async def delete_chunks(session: AsyncSession, document_id: UUID, *, only: int | None = None, keep: int = 0) -> int:
    """Delete a document's chunks with their term weights, and return how many.

    All of them, those of the version `only`, or those of all versions but `keep`.
    """
    query = delete(Chunk).where(col(Chunk.document_id) == document_id)
    query = query.where(col(Chunk.version) == only) if only is not None else query.where(col(Chunk.version) != keep)
    return (await session.exec(query)).rowcount


async def delete_versions(session: AsyncSession, document_id: UUID, *, only: int | None = None) -> None:
    """Delete the texts of all versions of a document, or of one."""
    query = delete(DocumentVersion).where(col(DocumentVersion.document_id) == document_id)
    if only is not None:
        query = query.where(col(DocumentVersion.version) == only)
    await session.exec(query)


async def forget_address(session: AsyncSession, document_id: UUID) -> None:
    """Let the address of a document from the web be free for another one."""
    await session.exec(delete(WebPage).where(col(WebPage.document_id) == document_id))


async def note_refresh_failure(session: AsyncSession, document_id: UUID, reason: str) -> None:
    """Say of a document from the web why its page could not be read again."""
    await session.exec(update(WebPage).where(col(WebPage.document_id) == document_id).values(refresh_failure=reason))


async def count_remains(session: AsyncSession, document_id: UUID) -> int:
    """Return how many rows of a document's content are left, its own row aside."""
    found = await (await session.connection()).execute(_REMAINS, {"document_id": document_id})
    return int(found.scalar_one())


_REMAINS = text("""
    SELECT (SELECT count(*) FROM chunks WHERE document_id = :document_id)
         + (SELECT count(*) FROM chunk_lex WHERE document_id = :document_id)
         + (SELECT count(*) FROM document_versions WHERE document_id = :document_id)
""")


async def versions(session: AsyncSession, document_id: UUID, *, reach: Reach) -> Sequence[int]:
    """Return the versions of a document whose texts are stored, the oldest first."""
    query = (
        select(DocumentVersion.version)
        .join(Document, col(Document.id) == DocumentVersion.document_id)
        .where(DocumentVersion.document_id == document_id, reach.covers(Document))
        .order_by(col(DocumentVersion.version))
    )
    return (await session.exec(query)).all()


async def excerpt(session: AsyncSession, document_id: UUID, version: int, start: int, end: int | None) -> str | None:
    """Return characters [start, end) of a version's text, or None when there is no such version."""
    body = col(DocumentVersion.text)
    part = func.substr(body, start + 1) if end is None else func.substr(body, start + 1, max(0, end - start))
    query = select(part).where(DocumentVersion.document_id == document_id, DocumentVersion.version == version)
    return (await session.exec(query)).one_or_none()


async def deletion(session: AsyncSession, document_id: UUID, *, reach: Reach) -> DocumentDeletion | None:
    """Return the receipt of a deleted document."""
    query = select(DocumentDeletion).where(DocumentDeletion.document_id == document_id, reach.covers(DocumentDeletion))
    return (await session.exec(query)).one_or_none()


async def of_purged_bot(session: AsyncSession, bot_id: UUID, limit: int) -> Sequence[Document]:
    """Return up to `limit` documents of a bot, deleted or not, for its purge."""
    return (await session.exec(select(Document).where(Document.bot_id == bot_id).limit(limit))).all()
