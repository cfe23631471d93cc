"""Queries on the tree that the messages of a conversation are: branches, leaves, siblings."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import CTE, ScalarSelect, func, text, update
from sqlalchemy.orm import aliased
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.repository import own_conversations
from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Conversation, Message


def _active(conversation_id: UUID) -> ScalarSelect[UUID]:
    # Conversations from before there were branches have no leaf: their newest message is it.
    newest = (
        select(Message.id)
        .where(Message.conversation_id == conversation_id)
        .order_by(col(Message.position).desc())
        .limit(1)
        .scalar_subquery()
    )
    chosen = select(func.coalesce(Conversation.active_leaf_id, newest)).where(Conversation.id == conversation_id)
    return chosen.scalar_subquery()


async def active_leaf(session: AsyncSession, conversation_id: UUID) -> UUID | None:
    """Return the last message of the branch that is shown, or None in an empty conversation."""
    return (await session.exec(select(_active(conversation_id)))).one()


async def active_leaves(session: AsyncSession, conversation_ids: Sequence[UUID], *, viewer: Viewer) -> dict[UUID, UUID]:
    """Return the same for those of the conversations that are the user's and have messages."""
    own = own_conversations(viewer).where(col(Conversation.id).in_(conversation_ids)).subquery()
    newest = (
        select(Message.id)
        .where(Message.conversation_id == own.c.id)
        .order_by(col(Message.position).desc())
        .limit(1)
        .scalar_subquery()
    )
    found = await session.exec(select(own.c.id, func.coalesce(own.c.active_leaf_id, newest)))
    return {conversation_id: leaf_id for conversation_id, leaf_id in found if leaf_id is not None}


def _branch(conversation_id: UUID, leaf_id: UUID | None) -> CTE:
    """Return (id) of the messages from a leaf up to the first question; without a leaf, from the active one."""
    leaf = _active(conversation_id) if leaf_id is None else leaf_id
    of_conversation = Message.conversation_id == conversation_id
    down = (
        select(Message.id, Message.parent_id).where(Message.id == leaf, of_conversation).cte("branch", recursive=True)
    )
    up = aliased(Message)
    return down.union_all(
        select(up.id, up.parent_id).where(up.id == down.c.parent_id, up.conversation_id == conversation_id)
    )


def _on_branch(conversation_id: UUID, leaf_id: UUID | None) -> SelectOfScalar[Message]:
    branch = _branch(conversation_id, leaf_id)
    return select(Message).join(branch, branch.c.id == Message.id)


async def branch_page(
    session: AsyncSession, conversation_id: UUID, leaf_id: UUID | None, request: PageRequest
) -> Page[Message]:
    """Return one page of a branch, newest first, by position; without a leaf, of the active branch."""
    return await page(session, _on_branch(conversation_id, leaf_id), Message.position, request)


async def branch(session: AsyncSession, conversation_id: UUID) -> Sequence[Message]:
    """Return the whole active branch, oldest first."""
    return (await session.exec(_on_branch(conversation_id, None).order_by(col(Message.position)))).all()


async def branch_count(session: AsyncSession, conversation_id: UUID, leaf_id: UUID | None) -> int:
    """Return how many messages `branch_page` leads through."""
    branch = _branch(conversation_id, leaf_id)
    return (await session.exec(select(func.count()).select_from(branch))).one()


async def newest_below(session: AsyncSession, message_id: UUID) -> UUID:
    """Return the newest of all messages below this one, which is a leaf; or the message itself when it is one."""
    found = await (await session.connection()).execute(_BELOW, {"message_id": message_id})
    newest: UUID = found.scalar_one()
    return newest


_BELOW = text("""
    WITH RECURSIVE below AS (
        SELECT id, position FROM messages WHERE id = :message_id
        UNION ALL
        SELECT reply.id, reply.position FROM messages AS reply JOIN below ON reply.parent_id = below.id
    )
    SELECT id FROM below ORDER BY position DESC LIMIT 1
""")


async def show(session: AsyncSession, conversation_id: UUID, leaf_id: UUID) -> None:
    """Make the branch that ends with a message the active one. That is no news: the time of the last one stays."""
    values = {"active_leaf_id": leaf_id, "updated_at": Conversation.updated_at}
    await session.exec(update(Conversation).where(col(Conversation.id) == conversation_id).values(values))


async def reply_count(session: AsyncSession, conversation_id: UUID, parent_id: UUID | None) -> int:
    """Return how many messages follow a message directly; without one, how many begin the conversation."""
    place = col(Message.parent_id).is_(None) if parent_id is None else Message.parent_id == parent_id
    query = select(func.count()).where(Message.conversation_id == conversation_id, place)
    return (await session.exec(query)).one()


async def replies(
    session: AsyncSession, places: Sequence[tuple[UUID, UUID | None]], *, viewer: Viewer
) -> Sequence[tuple[UUID, UUID | None, UUID]]:
    """Return (conversation, parent, message) of all messages in these places of the user's conversations, in order.

    A place is a conversation and the message that is replied to; without one, the beginning of the conversation.
    """
    own = own_conversations(viewer).subquery()
    begun = {conversation_id for conversation_id, parent_id in places if parent_id is None}
    parents = {parent_id for _, parent_id in places if parent_id is not None}
    begins = col(Message.conversation_id).in_(begun) & col(Message.parent_id).is_(None)
    query = (
        select(Message.conversation_id, Message.parent_id, Message.id)
        .join(own, own.c.id == Message.conversation_id)
        .where(or_(begins, col(Message.parent_id).in_(parents)))
        .order_by(col(Message.position))
    )
    return (await session.exec(query)).all()
