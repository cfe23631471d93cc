"""Queries on users, sessions and memberships."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import UsedRefreshToken, User, UserSession, Workspace, WorkspaceMember

# Any fixed number: registrations wait for each other while it is open who becomes the admin.
_FIRST_ADMIN_LOCK = 0x6B797266


async def user_by_email(session: AsyncSession, email: str) -> User | None:
    """Return the user of an e-mail address in lower case."""
    return (await session.exec(select(User).where(User.email == email))).one_or_none()


async def users_by_id(session: AsyncSession, user_ids: Sequence[UUID]) -> Sequence[User]:
    """Return those of the users that exist, in no order."""
    return (await session.exec(select(User).where(col(User.id).in_(user_ids)))).all()


async def oldest_users(session: AsyncSession, email: str | None, limit: int = 1_000) -> Sequence[User]:
    """Return up to `limit` users, the oldest first; only the one of `email` when it is given."""
    query = select(User).order_by(col(User.id)).limit(limit)
    if email is not None:
        query = query.where(User.email == email)
    return (await session.exec(query)).all()


async def has_admin(session: AsyncSession) -> bool:
    """Say whether anybody administers this server."""
    return (await session.exec(select(User.id).where(col(User.is_admin)).limit(1))).first() is not None


async def lock_first_admin(session: AsyncSession) -> bool:
    """Say whether there is no admin yet. Until the transaction ends nobody else gets to ask."""
    if await has_admin(session):
        return False
    await (await session.connection()).execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FIRST_ADMIN_LOCK})
    return not await has_admin(session)


async def live_session(session: AsyncSession, session_id: UUID, user_id: UUID) -> UserSession | None:
    """Return the session unless it was revoked or is over."""
    query = select(UserSession).where(
        UserSession.id == session_id,
        UserSession.user_id == user_id,
        col(UserSession.revoked_at).is_(None),
        col(UserSession.expires_at) > func.now(),
    )
    return (await session.exec(query)).one_or_none()


async def lock_session_by_hash(session: AsyncSession, token_hash: bytes) -> UserSession | None:
    """Return the session whose refresh token this is, or once was, locked for its rotation."""
    used = select(UsedRefreshToken.session_id).where(UsedRefreshToken.token_hash == token_hash)
    owner = select(UserSession.id).where((col(UserSession.refresh_hash) == token_hash) | col(UserSession.id).in_(used))
    session_id = (await session.exec(owner)).first()
    if session_id is None:
        return None
    # By its id: whoever waits for the lock must find it, although the token was used up meanwhile.
    return (await session.exec(select(UserSession).where(UserSession.id == session_id).with_for_update())).one_or_none()


async def revoke(session: AsyncSession, session_id: UUID, at: datetime) -> bool:
    """End a session; False when it had ended before."""
    query = (
        update(UserSession)
        .where(col(UserSession.id) == session_id, col(UserSession.revoked_at).is_(None))
        .values(revoked_at=at)
    )
    return (await session.exec(query)).rowcount == 1


async def memberships(session: AsyncSession, user_id: UUID) -> Sequence[WorkspaceMember]:
    """Return all memberships of a user, the personal workspace first."""
    query = (
        select(WorkspaceMember)
        .where(WorkspaceMember.user_id == user_id)
        .order_by(col(WorkspaceMember.is_personal).desc(), col(WorkspaceMember.workspace_id))
    )
    return (await session.exec(query)).all()


async def workspaces_by_id(session: AsyncSession, workspace_ids: Sequence[UUID]) -> Sequence[Workspace]:
    """Return those of the workspaces that exist, in no order."""
    return (await session.exec(select(Workspace).where(col(Workspace.id).in_(workspace_ids)))).all()
