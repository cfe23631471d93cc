"""Queries on sessions and their refresh tokens. All times are the database's: processes may not agree on theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import UsedRefreshToken, UserSession

# A session ends after that long without a refresh, and after this long in any case.
IDLE_LIFETIME = timedelta(days=14)
SESSION_LIFETIME = timedelta(days=30)
# So long a repeated exchange is taken for one whose answer was lost, or for a second tab's.
REPEAT_GRACE = timedelta(seconds=10)


def is_live() -> ColumnElement[bool]:
    """Return the condition that a session has not ended, in whatever way."""
    return and_(
        col(UserSession.revoked_at).is_(None),
        col(UserSession.expires_at) > func.now(),
        col(UserSession.refreshed_at) > func.now() - IDLE_LIFETIME,
    )


def ends_at(row: UserSession) -> datetime:
    """Return when a session ends unless it is refreshed or ended before."""
    return min(row.expires_at, row.refreshed_at + IDLE_LIFETIME)


@dataclass(frozen=True, slots=True)
class Presented:
    """The session of a refresh token that somebody brought."""

    session: UserSession
    is_live: bool
    # The token is not the newest one, but was until a moment ago.
    was_exchanged_just_now: bool


async def id_of_refresh_token(session: AsyncSession, token_hash: bytes) -> UUID | None:
    """Return the id of the session whose refresh token this is, or once was."""
    used = select(UsedRefreshToken.session_id).where(UsedRefreshToken.token_hash == token_hash)
    owner = select(UserSession.id).where(
        or_(col(UserSession.refresh_hash) == token_hash, col(UserSession.id).in_(used))
    )
    return (await session.exec(owner)).first()


async def lock_by_refresh_token(session: AsyncSession, token_hash: bytes) -> Presented | None:
    """Return the session whose refresh token this is, or once was, locked for its rotation."""
    session_id = await id_of_refresh_token(session, token_hash)
    if session_id is None:
        return None
    # By its id: whoever waits for the lock must find it, although the token was used up meanwhile.
    locked = select(UserSession, is_live()).where(UserSession.id == session_id).with_for_update()
    found = (await session.exec(locked)).one_or_none()
    if found is None:
        return None
    # In a statement of its own, which sees what was committed while we waited.
    recent = select(UsedRefreshToken.token_hash).where(
        UsedRefreshToken.token_hash == token_hash, col(UsedRefreshToken.used_at) > func.clock_timestamp() - REPEAT_GRACE
    )
    return Presented(found[0], found[1], (await session.exec(recent)).first() is not None)


async def exchange(session: AsyncSession, session_id: UUID, used: bytes, new: bytes) -> None:
    """Put a new refresh token in the place of the one that is used up."""
    session.add(UsedRefreshToken(token_hash=used, session_id=session_id))
    await session.exec(
        update(UserSession).where(col(UserSession.id) == session_id).values(refresh_hash=new, refreshed_at=func.now())
    )


async def end(session: AsyncSession, *which: ColumnElement[bool]) -> Sequence[UUID]:
    """End the sessions for which all of that holds, and forget their used tokens; return their ids."""
    query = update(UserSession).where(*which).values(revoked_at=func.now()).returning(col(UserSession.id))
    ended = (await session.exec(query)).scalars().all()
    # What comes back now is refused whatever it was.
    await session.exec(delete(UsedRefreshToken).where(col(UsedRefreshToken.session_id).in_(ended)))
    return ended


async def many(session: AsyncSession, session_ids: Sequence[UUID], *, user_id: UUID) -> Sequence[UserSession]:
    """Return those of the sessions that are this user's and have not ended, in no order."""
    query = select(UserSession).where(col(UserSession.id).in_(session_ids), UserSession.user_id == user_id, is_live())
    return list(await session.exec(query))


async def page_of_user(session: AsyncSession, user_id: UUID, request: PageRequest) -> Page[UserSession]:
    """Return a page of a user's sessions that have not ended, newest first."""
    return await page(
        session, select(UserSession).where(UserSession.user_id == user_id, is_live()), UserSession.id, request
    )


async def count_of_user(session: AsyncSession, user_id: UUID) -> int:
    """Return how many sessions of a user have not ended."""
    query = select(func.count()).select_from(UserSession).where(UserSession.user_id == user_id, is_live())
    return (await session.exec(query)).one()


async def last_active(session: AsyncSession, user_ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
    """Return when each of the users last signed in or refreshed a session; who never did is missing."""
    query = (
        select(UserSession.user_id, func.max(UserSession.refreshed_at))
        .where(col(UserSession.user_id).in_(user_ids))
        .group_by(col(UserSession.user_id))
    )
    return dict((await session.exec(query)).all())


async def sweep(session: AsyncSession, limit: int) -> int:
    """Remove up to `limit` sessions that have ended, all but the last one of each user; return how many.

    The last one says when somebody was last here.
    """
    newer = aliased(UserSession)
    has_newer = select(newer.id).where(
        newer.user_id == UserSession.user_id, col(newer.refreshed_at) > col(UserSession.refreshed_at)
    )
    dead = select(UserSession.id).where(not_(is_live()), has_newer.exists()).limit(limit)
    # Who is at work on one now is no hurry of ours, and other processes sweep too.
    dead = dead.with_for_update(skip_locked=True)
    found = (await session.exec(dead)).all()
    await session.exec(delete(UserSession).where(col(UserSession.id).in_(found)))
    return len(found)
