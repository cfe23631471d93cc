"""Queries on users, memberships, and what lets people and programs in."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.session_repository import is_live
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import User, UserSession, WorkspaceMember

# Any fixed number: registrations wait for each other while it is open who becomes the admin.
_FIRST_ADMIN_LOCK = 0x6B797266


async def user_by_email(session: AsyncSession, email: str) -> User | None:
    """Return the user of an e-mail address in lower case."""
    return (await session.exec(select(User).where(User.email == email))).one_or_none()


async def user(session: AsyncSession, user_id: UUID) -> User | None:
    """Return a user, disabled or not."""
    return (await session.exec(select(User).where(User.id == user_id))).one_or_none()


async def users_by_id(session: AsyncSession, user_ids: Sequence[UUID]) -> Sequence[User]:
    """Return those of the users that exist, in no order."""
    return (await session.exec(select(User).where(col(User.id).in_(user_ids)))).all()


async def lock_user(session: AsyncSession, user_id: UUID, *, to_change: bool = False) -> User | None:
    """Return a user as he is now, and will be until the transaction ends.

    Whoever locks sessions too does that afterwards: who locks in one order only never waits in a circle.
    """
    query = select(User).where(User.id == user_id)
    query = query.with_for_update(key_share=True) if to_change else query.with_for_update(read=True)
    return (await session.exec(query.execution_options(populate_existing=True))).one_or_none()


async def replace_hash(session: AsyncSession, user_id: UUID, old: str, new: str) -> None:
    """Store another hash of the same password, unless the password was changed meanwhile."""
    query = update(User).where(col(User.id) == user_id, col(User.password_hash) == old).values(password_hash=new)
    await session.exec(query)


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


async def account(session: AsyncSession, user_id: UUID) -> Viewer | None:
    """Return a user with his memberships, or None when he is gone or disabled."""
    return _viewer((await session.exec(_MEMBERSHIPS.where(User.id == user_id))).all(), None)


async def account_of_session(session: AsyncSession, session_id: UUID, user_id: UUID) -> Viewer | None:
    """Return the user of a session that has not ended, or None when it has, or he is gone or disabled."""
    live = select(UserSession.id).where(
        UserSession.id == session_id,
        UserSession.user_id == user_id,
        is_live(),
    )
    query = _MEMBERSHIPS.where(User.id == user_id, live.exists())
    return _viewer((await session.exec(query)).all(), session_id)


_MEMBERSHIPS = (
    select(User, WorkspaceMember)
    .join(WorkspaceMember, col(WorkspaceMember.user_id) == User.id)
    .where(col(User.disabled_at).is_(None))
    # The personal one first; whoever left it has another one as the default.
    .order_by(col(WorkspaceMember.is_personal).desc(), col(WorkspaceMember.workspace_id))
)


def _viewer(rows: Sequence[tuple[User, WorkspaceMember]], session_id: UUID | None) -> Viewer | None:
    if not rows:
        return None
    user, first = rows[0]
    workspaces = {member.workspace_id: member.role for _, member in rows}
    return Viewer(user.id, session_id, workspaces, first.workspace_id, is_admin=user.is_admin)


async def still_valid(session: AsyncSession, session_ids: Sequence[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return those of the sessions that have not ended, each with the workspaces that it reaches."""
    query = (
        select(UserSession.id, WorkspaceMember.workspace_id)
        .join(User, col(User.id) == UserSession.user_id)
        .join(WorkspaceMember, col(WorkspaceMember.user_id) == UserSession.user_id)
        .where(
            col(UserSession.id).in_(session_ids),
            is_live(),
            col(User.disabled_at).is_(None),
        )
    )
    found: dict[UUID, set[UUID]] = {}
    for session_id, workspace_id in await session.exec(query):
        found.setdefault(session_id, set()).add(workspace_id)
    return {session_id: frozenset(workspaces) for session_id, workspaces in found.items()}
