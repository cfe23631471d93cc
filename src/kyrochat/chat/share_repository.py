"""Queries on links to conversations. Whoever brings a token begins the session with its hash as the `credential`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.repository import own_conversations
from kyrochat.db.models import Bot, Conversation, ConversationShare, User, WorkspaceMember


def _lasts() -> ColumnElement[bool]:
    return or_(col(ConversationShare.expires_at).is_(None), col(ConversationShare.expires_at) > func.now())


async def of_conversations(
    session: AsyncSession, conversation_ids: Sequence[UUID], *, viewer: Viewer
) -> Sequence[ConversationShare]:
    """Return the links that work to those of the conversations that are the user's, the newest first."""
    own = own_conversations(viewer).subquery()
    query = (
        select(ConversationShare)
        .join(own, own.c.id == ConversationShare.conversation_id)
        .where(col(ConversationShare.conversation_id).in_(conversation_ids), _lasts())
        .order_by(col(ConversationShare.id).desc())
    )
    return (await session.exec(query)).all()


async def many(session: AsyncSession, share_ids: Sequence[UUID], *, viewer: Viewer) -> Sequence[ConversationShare]:
    """Return those of the links that work and that are to conversations of the user's, in no order."""
    own = own_conversations(viewer).subquery()
    query = (
        select(ConversationShare)
        .join(own, own.c.id == ConversationShare.conversation_id)
        .where(col(ConversationShare.id).in_(share_ids), _lasts())
    )
    return (await session.exec(query)).all()


async def count(session: AsyncSession, conversation_id: UUID) -> int:
    """Return how many links to a conversation there are."""
    query = select(func.count()).where(ConversationShare.conversation_id == conversation_id)
    return (await session.exec(query)).one()


async def forget_expired(session: AsyncSession, conversation_id: UUID) -> None:
    """Delete the links to a conversation that do not work any more."""
    await session.exec(
        delete(ConversationShare).where(
            col(ConversationShare.conversation_id) == conversation_id, col(ConversationShare.expires_at) <= func.now()
        )
    )


async def remove(session: AsyncSession, share_id: UUID) -> bool:
    """Delete a link; False when there is none."""
    return (await session.exec(delete(ConversationShare).where(col(ConversationShare.id) == share_id))).rowcount == 1


async def by_token(session: AsyncSession, hashed: bytes) -> ConversationShare | None:
    """Return the link of a token, if it has not expired."""
    query = select(ConversationShare).where(ConversationShare.token_hash == hashed, _lasts())
    return (await session.exec(query)).one_or_none()


async def bot_name(session: AsyncSession, share: ConversationShare) -> str | None:
    """Return the name of the bot that answers in a shared conversation; None when nobody may show it any more.

    That is: the bot is deleted, or whose conversation it is has no account that works, or left the workspace.
    """
    query = (
        select(Bot.name)
        .join(Conversation, col(Conversation.bot_id) == Bot.id)
        .join(User, col(User.id) == Conversation.user_id)
        .join(
            WorkspaceMember,
            (col(WorkspaceMember.user_id) == Conversation.user_id)
            & (col(WorkspaceMember.workspace_id) == Conversation.workspace_id),
        )
        .where(
            Conversation.id == share.conversation_id,
            Conversation.workspace_id == share.workspace_id,
            col(Bot.deleted_at).is_(None),
            col(User.disabled_at).is_(None),
        )
    )
    return (await session.exec(query)).one_or_none()
