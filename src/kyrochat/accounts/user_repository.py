"""Queries of administrators on all users."""

from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.keyset import page as keyset_page
from kyrochat.db.models import User

T = TypeVar("T")

# Any fixed number: whoever takes an administrator away waits for others who do.
_ADMINS_LOCK = 0x6B797267


class UserStatus(StrEnum):
    """Whether an account works."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


async def page(session: AsyncSession, request: PageRequest, email: str, status: UserStatus | None) -> Page[User]:
    """Return a page of users, newest first; `email` is a part of the address, in lower case, or ''."""
    return await keyset_page(session, _filtered(select(User), email, status), User.id, request)


async def count(session: AsyncSession, email: str, status: UserStatus | None) -> int:
    """Return how many users there are."""
    return (await session.exec(_filtered(select(func.count()).select_from(User), email, status))).one()


def _filtered(query: SelectOfScalar[T], email: str, status: UserStatus | None) -> SelectOfScalar[T]:
    if email:
        # As it is: % and _ are letters here.
        query = query.where(func.strpos(col(User.email), email) > 0)
    if status is not None:
        is_disabled = col(User.disabled_at).is_not(None)
        query = query.where(is_disabled if status is UserStatus.DISABLED else ~is_disabled)
    return query


async def erase(session: AsyncSession, user_id: UUID) -> bool:
    """Remove an account that has ended, with all that hangs on it; False when there is one that has not.

    The worker may do this, and nothing else with accounts.
    """
    found = await (await session.connection()).execute(_ERASE, {"user_id": user_id})
    return bool(found.scalar_one())


_ERASE = text("SELECT erase_ended_account(:user_id)")


async def lock_admins(session: AsyncSession) -> None:
    """Let nobody else take an administrator away until the transaction ends."""
    await (await session.connection()).execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADMINS_LOCK})


async def has_other_user(session: AsyncSession, user_id: UUID) -> bool:
    """Say whether anybody but this user has an account that works."""
    query = select(User.id).where(col(User.disabled_at).is_(None), User.id != user_id).limit(1)
    return (await session.exec(query)).first() is not None


async def has_other_admin(session: AsyncSession, user_id: UUID) -> bool:
    """Say whether anybody but this user administers the server, with an account that works."""
    query = select(User.id).where(col(User.is_admin), col(User.disabled_at).is_(None), User.id != user_id).limit(1)
    return (await session.exec(query)).first() is not None
