"""What administrators of the server do with accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository, reset_repository, session_repository, user_repository
from kyrochat.accounts.account_rules import MAX_EMAIL_CHARS, normal_email
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.ending import end_sessions
from kyrochat.accounts.user_repository import UserStatus
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import User
from kyrochat.errors import Conflict, NotFound
from kyrochat.rules import Rules


@dataclass(frozen=True, slots=True)
class Administration:
    """Use cases of administrators, over the API or at the command line."""

    database: Database
    changes: Changes

    async def page(
        self, by: Viewer | Operator, request: PageRequest, email: str = "", status: UserStatus | None = None
    ) -> Page[User]:
        """Return a page of all users whose e-mail address has `email` in it, newest first.

        Raises:
            Forbidden: the viewer is no administrator.
            InvalidInput: `email` is too long, or no text.
        """
        by.must_administer()
        async with self.database.begin() as session:
            return await user_repository.page(session, request, _part(email), status)

    async def count(self, by: Viewer | Operator, email: str = "", status: UserStatus | None = None) -> int:
        """Return how many users `page` pages through."""
        by.must_administer()
        async with self.database.begin() as session:
            return await user_repository.count(session, _part(email), status)

    async def last_active(self, by: Viewer | Operator, user_ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
        """Return when each of the users last signed in or refreshed a session; who never did is missing.

        Raises:
            Forbidden: the viewer is no administrator, and asks about others.
        """
        if isinstance(by, Operator) or set(user_ids) != {by.user_id}:
            by.must_administer()
        async with self.database.begin() as session:
            return await session_repository.last_active(session, user_ids)

    async def find(self, by: Viewer | Operator, email: str) -> User:
        """Return the user of an e-mail address.

        Raises:
            Forbidden: the viewer is no administrator.
            NotFound: nobody has it.
        """
        by.must_administer()
        async with self.database.begin() as session:
            user = await repository.user_by_email(session, normal_email(email))
        if user is None:
            raise NotFound(f"account as {email}")
        return user

    async def set_disabled(self, by: Viewer | Operator, user_id: UUID, *, disabled: bool) -> User:
        """Disable an account, or enable it again; return the user.

        Disabling ends its sessions and open sockets; its API keys work again only when it is enabled.

        Raises:
            Forbidden: the viewer is no administrator.
            NotFound: there is no such user.
            Conflict: it is the viewer's own account, or the last administrator's.
        """
        by.must_administer()
        async with self.database.begin() as session:
            user = await self._lock(session, user_id)
            if (user.disabled_at is not None) == disabled:
                return user
            if disabled:
                if isinstance(by, Viewer) and by.user_id == user_id:
                    raise Conflict("You cannot disable your own account. Ask another administrator.")
                await _must_not_be_last(session, user)
            user.disabled_at = datetime.now(UTC) if disabled else None
            session.add(user)
            await session.flush()
            if disabled:
                await reset_repository.forget(session, user.id)
                await end_sessions(session, self.changes, user.id)
                # Also when no session ended: keys have sockets too.
                await self.changes.announce(session, [ACCESS_TOPIC])
            act = AuditAct.USER_DISABLED if disabled else AuditAct.USER_ENABLED
            record(session, act, by, subject_id=user.id)
        return user

    async def set_admin(self, by: Viewer | Operator, user_id: UUID, *, is_admin: bool) -> User:
        """Make a user an administrator of this server, or not any more; return him.

        Raises:
            Forbidden: the viewer is no administrator.
            NotFound: there is no such user.
            Conflict: he is the last administrator.
        """
        by.must_administer()
        async with self.database.begin() as session:
            user = await self._lock(session, user_id)
            if user.is_admin == is_admin:
                return user
            if not is_admin:
                await _must_not_be_last(session, user)
            user.is_admin = is_admin
            session.add(user)
            record(session, AuditAct.USER_ROLE_CHANGED, by, subject_id=user.id, details={"is_admin": is_admin})
        return user

    async def _lock(self, session: AsyncSession, user_id: UUID) -> User:
        await user_repository.lock_admins(session)
        user = await repository.lock_user(session, user_id, to_change=True)
        if user is None:
            raise NotFound("user")
        return user


def _part(email: str) -> str:
    rules = Rules()
    part = rules.text("email", normal_email(email), max_chars=MAX_EMAIL_CHARS)
    rules.enforce()
    return part


async def _must_not_be_last(session: AsyncSession, user: User) -> None:
    if user.is_admin and not await user_repository.has_other_admin(session, user.id):
        raise Conflict("This is the last administrator of this server. Make somebody else one first.")
