"""Queries on what answers are known by to clients that send the whole history."""

from uuid import UUID

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.repository import own_conversations
from kyrochat.db.models import Message


async def answer_after(session: AsyncSession, bot_id: UUID, transcript: bytes, *, viewer: Viewer) -> Message | None:
    """Return the newest answer of the user's conversations with a bot that ends these words, if there is one."""
    own = own_conversations(viewer).subquery()
    query = (
        select(Message)
        .join(own, own.c.id == Message.conversation_id)
        .where(Message.transcript == transcript, own.c.bot_id == bot_id, own.c.is_public.is_(False))
        .order_by(col(Message.id).desc())
        .limit(1)
    )
    return (await session.exec(query)).one_or_none()


async def note(session: AsyncSession, message_id: UUID, transcript: bytes) -> None:
    """Let an answer be found by what was said up to its end."""
    await session.exec(update(Message).where(col(Message.id) == message_id).values(transcript=transcript))
