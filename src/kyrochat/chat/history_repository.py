"""Queries on a user's history: what he has asked and been answered, wherever, by the last time.

Words are looked for in the user's own texts, one after the other. An index would not help: under row-level security
PostgreSQL takes none for conditions that might tell of other tenants' rows, and matching a text is one of these. And
one user's texts are few: 20,000 messages of a kilobyte take less than 0.2 s.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.repository import own_conversations
from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Conversation, Message


def history(
    viewer: Viewer, bot_id: UUID | None, workspace_id: UUID | None, words: Sequence[str]
) -> SelectOfScalar[Conversation]:
    """Return the query on the user's conversations; with words, on those whose title or one message has them all."""
    query = own_conversations(viewer).where(col(Conversation.is_public).is_(False))
    if bot_id is not None:
        query = query.where(Conversation.bot_id == bot_id)
    if workspace_id is not None:
        query = query.where(Conversation.workspace_id == workspace_id)
    if words:
        said = select(Message.id).where(Message.conversation_id == Conversation.id, _has(Message.text, words))
        query = query.where(or_(_has(Conversation.title, words), said.exists()))
    return query


def _has(column: str, words: Sequence[str]) -> ColumnElement[bool]:
    # Whatever a word holds, it stands for itself.
    return and_(*(col(column).icontains(word, autoescape=True) for word in words))


async def history_page(
    session: AsyncSession, query: SelectOfScalar[Conversation], request: PageRequest
) -> Page[Conversation]:
    """Return one page of `history`, that first in which something was asked last."""
    return await page(session, query, Conversation.recency, request)


async def history_count(session: AsyncSession, query: SelectOfScalar[Conversation]) -> int:
    """Return how many conversations `history_page` leads through."""
    return (await session.exec(select(func.count()).select_from(query.subquery()))).one()


class Size(NamedTuple):
    """How long a conversation is, over all branches."""

    messages: int
    chars: int


async def size(session: AsyncSession, conversation_id: UUID) -> Size:
    """Return how long a conversation is. The caller knows that it is the user's."""
    chars = func.coalesce(func.sum(func.length(Message.text)), 0)
    query = select(func.count(), chars).select_from(Message).where(Message.conversation_id == conversation_id)
    return Size(*(await session.exec(query)).one())
