"""Queries on bots. A bot that is being purged is not found."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Bot
from kyrochat.db.tenancy import Reach


async def get(session: AsyncSession, bot_id: UUID, *, reach: Reach, for_update: bool = False) -> Bot | None:
    """Return the bot if it is in one of the workspaces: absent and foreign look the same."""
    query = select(Bot).where(Bot.id == bot_id, reach.covers(Bot), col(Bot.deleted_at).is_(None))
    if for_update:
        query = query.with_for_update()
    return (await session.exec(query)).one_or_none()


async def keep(session: AsyncSession, bot_id: UUID, *, reach: Reach) -> bool:
    """Say whether the bot is there, and keep it from being deleted until the transaction ends."""
    query = select(Bot.id).where(Bot.id == bot_id, reach.covers(Bot), col(Bot.deleted_at).is_(None))
    return (await session.exec(query.with_for_update(read=True, key_share=True))).first() is not None


async def is_paused(session: AsyncSession, bot_id: UUID, *, keep: bool = False) -> bool:
    """Say whether the bot's ingestion is paused; with `keep` nobody changes that until the transaction ends."""
    query = select(Bot.ingestion_paused).where(Bot.id == bot_id)
    if keep:
        query = query.with_for_update(read=True)
    return bool((await session.exec(query)).one_or_none())


async def many(session: AsyncSession, bot_ids: Sequence[UUID], *, reach: Reach) -> Sequence[Bot]:
    """Return those of the bots that are in the workspaces, in no order."""
    query = select(Bot).where(col(Bot.id).in_(bot_ids), reach.covers(Bot), col(Bot.deleted_at).is_(None))
    return (await session.exec(query)).all()


async def page_of(session: AsyncSession, request: PageRequest, *, reach: Reach) -> Page[Bot]:
    """Return one page of the workspaces' bots, newest first."""
    query = select(Bot).where(reach.covers(Bot), col(Bot.deleted_at).is_(None))
    return await page(session, query, Bot.id, request)


async def count(session: AsyncSession, *, reach: Reach) -> int:
    """Return how many bots the workspaces have."""
    query = select(func.count()).where(reach.covers(Bot), col(Bot.deleted_at).is_(None))
    return (await session.exec(query)).one()


async def by_name(session: AsyncSession, name: str, *, reach: Reach) -> Sequence[Bot]:
    """Return the bots of that name, whatever its case; one a workspace at most."""
    query = select(Bot).where(
        # PostgreSQL lowers both: Python would make other letters of Greek and Turkish capitals than the index holds.
        func.lower(col(Bot.name)) == func.lower(name),
        reach.covers(Bot),
        col(Bot.deleted_at).is_(None),
    )
    return (await session.exec(query)).all()


async def end_leases(session: AsyncSession, bot_id: UUID) -> Sequence[UUID]:
    """Take the bot's unfinished answers from those who write them, and return the answers' ids."""
    rows = await (await session.connection()).execute(_END_LEASES, {"bot_id": bot_id})
    return list(rows.scalars())


async def close_all(session: AsyncSession, workspace_id: UUID) -> Sequence[UUID]:
    """Mark all bots of a workspace as deleted, take its unfinished answers from their writers, and return their ids."""
    values = {"workspace_id": workspace_id}
    connection = await session.connection()
    await connection.execute(_CLOSE_ALL, values)
    return list((await connection.execute(_END_ALL_LEASES, values)).scalars())


_CLOSE_ALL = text("UPDATE bots SET deleted_at = now() WHERE workspace_id = :workspace_id AND deleted_at IS NULL")

_END_ALL_LEASES = text("DELETE FROM answer_leases WHERE workspace_id = :workspace_id RETURNING message_id")

_END_LEASES = text("""
    DELETE FROM answer_leases AS lease
    USING messages AS answer JOIN conversations ON conversations.id = answer.conversation_id
    WHERE conversations.bot_id = :bot_id AND answer.status = 'STREAMING' AND answer.id = lease.message_id
    RETURNING lease.message_id
""")
