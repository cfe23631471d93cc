"""Queries on what users think of answers."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.db.columns import new_id
from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import AnswerRating, Bot, Message
from kyrochat.db.states import Rating


async def rate(
    session: AsyncSession, answer: Message, bot_id: UUID, user_id: UUID, rating: Rating, comment: str
) -> None:
    """Store a user's rating of an answer, in the place of the one before."""
    values = {
        "id": new_id(),
        "workspace_id": answer.workspace_id,
        "bot_id": bot_id,
        "message_id": answer.id,
        "user_id": user_id,
        "rating": rating,
        "comment": comment,
    }
    new = insert(AnswerRating).values(values)
    changed = {"rating": new.excluded.rating, "comment": new.excluded.comment, "updated_at": func.now()}
    await session.exec(new.on_conflict_do_update(constraint="answer_ratings_message_id_user_id_key", set_=changed))


async def take_back(session: AsyncSession, message_id: UUID, user_id: UUID) -> None:
    """Delete a user's rating of an answer, if there is one."""
    of_user = (col(AnswerRating.message_id) == message_id) & (col(AnswerRating.user_id) == user_id)
    await session.exec(delete(AnswerRating).where(of_user))


async def of_messages(session: AsyncSession, message_ids: Sequence[UUID], user_id: UUID) -> Sequence[AnswerRating]:
    """Return a user's ratings of these answers, in no order."""
    query = select(AnswerRating).where(col(AnswerRating.message_id).in_(message_ids), AnswerRating.user_id == user_id)
    return (await session.exec(query)).all()


def _of_bot(bot: Bot, rating: Rating | None, since: datetime | None) -> SelectOfScalar[AnswerRating]:
    query = select(AnswerRating).where(AnswerRating.bot_id == bot.id, AnswerRating.workspace_id == bot.workspace_id)
    if rating is not None:
        query = query.where(AnswerRating.rating == rating)
    return query if since is None else query.where(col(AnswerRating.updated_at) >= since)


async def rating_page(
    session: AsyncSession, bot: Bot, request: PageRequest, rating: Rating | None, since: datetime | None
) -> Page[AnswerRating]:
    """Return one page of what users think of a bot's answers, newest first; `since` is when they last said so."""
    return await page(session, _of_bot(bot, rating, since), AnswerRating.id, request)


async def rating_count(session: AsyncSession, bot: Bot, rating: Rating | None, since: datetime | None) -> int:
    """Return how many ratings `rating_page` leads through."""
    query = select(func.count()).select_from(_of_bot(bot, rating, since).subquery())
    return (await session.exec(query)).one()


async def exchanges(session: AsyncSession, answer_ids: Sequence[UUID]) -> Sequence[tuple[Message, Message]]:
    """Return (question, answer) of each answer, in no order. The caller knows that the viewer may see them."""
    answer = aliased(Message)
    query = select(Message, answer).join(answer, col(Message.id) == answer.parent_id)
    return (await session.exec(query.where(col(answer.id).in_(answer_ids)))).all()
