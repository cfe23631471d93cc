"""People."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts import repository
from kyrochat.accounts.account_rules import check_name
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import User
from kyrochat.errors import NotFound, Unauthenticated
from kyrochat.rules import Rules


@dataclass(frozen=True, slots=True)
class AccountService:
    """Use cases of accounts."""

    database: Database

    async def local_viewers(self, email: str | None = None) -> list[Viewer]:
        """Return who the operator at the command line may act as: everybody, the oldest account first, or one.

        Raises:
            NotFound: nobody has that e-mail address.
        """
        async with self.database.begin() as session:
            users = await repository.oldest_users(session, email.strip().lower() if email else None)
            if email and not users:
                raise NotFound(f"account as {email}")
            accounts = [await repository.account(session, user.id) for user in users]
        return [account for account in accounts if account is not None]

    async def me(self, viewer: Viewer) -> User:
        """Return the viewer's user."""
        async with self.database.begin() as session:
            users = await repository.users_by_id(session, [viewer.user_id])
        if not users:
            raise Unauthenticated("The account is gone.")
        return users[0]

    async def people(self, user_ids: Sequence[UUID]) -> Sequence[User]:
        """Return those of the users that exist, in no order. Ask only for those whom the viewer's rows name."""
        async with self.database.begin() as session:
            return await repository.users_by_id(session, user_ids)

    async def rename(self, viewer: Viewer, name: str) -> User:
        """Change how the viewer is called; return his user.

        Raises:
            InvalidInput: the name breaks a rule.
        """
        viewer.must_be_person()
        rules = Rules()
        name = check_name(rules, "name", name)
        rules.enforce()
        async with self.database.begin() as session:
            user = await repository.lock_user(session, viewer.user_id, to_change=True)
            if user is None:
                raise Unauthenticated("The account is gone.")
            user.name = name
            session.add(user)
        return user
