"""Queries on password resets. All times are the database's."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.columns import new_id
from kyrochat.db.models import PasswordReset, User

RESET_LIFETIME = timedelta(minutes=30)


async def put(session: AsyncSession, user_id: UUID, token_hash: bytes) -> datetime:
    """Store a token in the place of all that the user had before; return when it ends."""
    await forget(session, user_id)
    now: datetime = (await session.exec(select(func.now()))).one()
    expires_at = now + RESET_LIFETIME
    session.add(PasswordReset(id=new_id(), user_id=user_id, token_hash=token_hash, expires_at=expires_at))
    return expires_at


async def user_of(session: AsyncSession, token_hash: bytes) -> User | None:
    """Return whose password the token sets, or None when it is not good, or the account is disabled."""
    query = (
        select(User)
        .join(PasswordReset, col(PasswordReset.user_id) == User.id)
        .where(
            PasswordReset.token_hash == token_hash,
            col(PasswordReset.used_at).is_(None),
            col(PasswordReset.expires_at) > func.now(),
            col(User.disabled_at).is_(None),
        )
    )
    return (await session.exec(query)).one_or_none()


async def use(session: AsyncSession, token_hash: bytes) -> bool:
    """Use the token up; False when it is not good any more."""
    query = delete(PasswordReset).where(
        col(PasswordReset.token_hash) == token_hash, col(PasswordReset.expires_at) > func.now()
    )
    return (await session.exec(query)).rowcount == 1


async def forget(session: AsyncSession, user_id: UUID) -> None:
    """Remove all tokens of a user: none of them works any more."""
    await session.exec(delete(PasswordReset).where(col(PasswordReset.user_id) == user_id))


async def sweep(session: AsyncSession) -> None:
    """Remove tokens that have expired."""
    await session.exec(delete(PasswordReset).where(col(PasswordReset.expires_at) < func.now()))
