"""Queries of evaluation."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Document


async def names(session: AsyncSession, bot_id: UUID, document_ids: Iterable[UUID]) -> Mapping[UUID, frozenset[str]]:
    """Return what documents of a bot are called, besides their ids: titles and addresses."""
    query = select(Document.id, Document.title, Document.url).where(
        Document.bot_id == bot_id, col(Document.id).in_(list(document_ids)), col(Document.deleted_at).is_(None)
    )
    return {row_id: frozenset(filter(None, (title, url))) for row_id, title, url in await session.exec(query)}


async def known_names(session: AsyncSession, bot_id: UUID, wanted: Sequence[str]) -> set[str]:
    """Return those names, in lower case, by which the bot has a document: a title, an address or an id."""
    low = [name.lower() for name in wanted]
    ids = [row_id for name in low if (row_id := _uuid(name)) is not None]
    title, url = func.lower(Document.title), func.lower(Document.url)
    query = select(Document.id, title, url).where(
        Document.bot_id == bot_id,
        col(Document.deleted_at).is_(None),
        or_(title.in_(low), url.in_(low), col(Document.id).in_(ids)),
    )
    found = {name for row in await session.exec(query) for name in (str(row[0]), row[1], row[2]) if name}
    return found.intersection(low)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
