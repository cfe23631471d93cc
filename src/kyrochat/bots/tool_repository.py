"""Queries on the tools of bots."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import BotTool


async def of_bots(session: AsyncSession, bot_ids: Sequence[UUID]) -> Sequence[BotTool]:
    """Return the tools of bots, in the order in which they were made. The caller knows that the viewer may see them."""
    query = select(BotTool).where(col(BotTool.bot_id).in_(bot_ids))
    return (await session.exec(query.order_by(col(BotTool.id)))).all()


async def enabled(session: AsyncSession, bot_id: UUID) -> Sequence[BotTool]:
    """Return the tools that a bot's model may use."""
    query = select(BotTool).where(BotTool.bot_id == bot_id, col(BotTool.enabled))
    return (await session.exec(query.order_by(col(BotTool.id)))).all()


async def by_name(session: AsyncSession, bot_id: UUID, name: str) -> BotTool | None:
    """Return the bot's tool of that name, locked."""
    query = select(BotTool).where(BotTool.bot_id == bot_id, BotTool.name == name)
    return (await session.exec(query.with_for_update())).one_or_none()


async def get(session: AsyncSession, tool_id: UUID) -> BotTool | None:
    """Return a tool, locked, if the session sees its workspace."""
    return (await session.exec(select(BotTool).where(BotTool.id == tool_id).with_for_update())).one_or_none()


async def many(session: AsyncSession, tool_ids: Sequence[UUID]) -> Sequence[BotTool]:
    """Return those of the tools whose workspaces the session sees, in no order."""
    return (await session.exec(select(BotTool).where(col(BotTool.id).in_(tool_ids)))).all()


async def count(session: AsyncSession, bot_id: UUID) -> int:
    """Return how many tools the bot has."""
    return (await session.exec(select(func.count()).where(BotTool.bot_id == bot_id))).one()
