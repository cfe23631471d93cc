"""Ends sessions, for whatever reason."""

from uuid import UUID

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import session_repository
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.models import UserSession


async def end_sessions(
    session: AsyncSession, changes: Changes, user_id: UUID, *, only: UUID | None = None, but: UUID | None = None
) -> int:
    """End sessions of a user in the caller's transaction: all, or one, or all but one; return how many.

    Open sockets hear of it at the commit.
    """
    which = [session_repository.is_live(), col(UserSession.user_id) == user_id]
    if only is not None:
        which.append(col(UserSession.id) == only)
    if but is not None:
        which.append(col(UserSession.id) != but)
    ended = await session_repository.end(session, *which)
    await changes.announce(session, [ACCESS_TOPIC] if ended else [])
    return len(ended)
