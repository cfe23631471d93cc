"""Queries on documents. One that is deleted, or whose bot is, is not found."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Bot, Chunk, Document, DocumentDeletion, DocumentVersion
from kyrochat.db.states import DocumentStatus
from kyrochat.db.tenancy import Reach


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


async def exists(session: AsyncSession, document_id: UUID) -> bool:
    """Say whether there is a row, deleted or not."""
    return (await session.exec(select(Document.id).where(Document.id == document_id))).first() is not None


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
) -> Page[Document]:
    """Return one page of a bot's documents, newest first, all or those of one status."""
    query = _live(reach).where(Document.bot_id == bot_id)
    if status is not None:
        query = query.where(Document.status == status)
    return await page(session, query, Document.id, request)


async def count(session: AsyncSession, bot_id: UUID, *, reach: Reach, status: DocumentStatus | None) -> int:
    """Return how many documents `page_of` leads through."""
    query = select(func.count()).where(
        Document.bot_id == bot_id, reach.covers(Document), col(Document.deleted_at).is_(None)
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


async def count_remains(session: AsyncSession, document_id: UUID) -> int:
    """Return how many rows of a document's content are left, its own row aside."""
    found = await (await session.connection()).execute(_REMAINS, {"document_id": document_id})
    return int(found.scalar_one())


_REMAINS = text("""
    SELECT (SELECT count(*) FROM chunks WHERE document_id = :document_id)
         + (SELECT count(*) FROM chunk_lex WHERE document_id = :document_id)
         + (SELECT count(*) FROM document_versions WHERE document_id = :document_id)
""")


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
