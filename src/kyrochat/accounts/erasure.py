"""Deleting an account: its end at once, and the removal of all that is its person's by jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository, reset_repository, user_repository
from kyrochat.accounts import workspace_repository as workspaces
from kyrochat.accounts.account_rules import ENDED_DOMAIN, normal_email
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.credentials import CredentialService
from kyrochat.accounts.ending import end_sessions
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.accounts.workspaces import remove_workspace
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database, widen
from kyrochat.db.models import User, Workspace
from kyrochat.errors import Conflict, InvalidCredentials, NotFound
from kyrochat.jobs.queue import PURGE_ATTEMPTS, PURGE_PRIORITY, enqueue
from kyrochat.jobs.withdrawal import any_left

# The handler lives in `chat`, floors above: `app` brings them together.
PURGE_ACCOUNT = "purge_account"


class OthersNeedAnOwner(Conflict):
    """Workspaces with other members would be left without an owner."""

    def __init__(self, names: Sequence[str]) -> None:
        named = ", ".join(f"“{name}”" for name in names)
        super().__init__(
            f"Others belong to {named}, and nobody else owns that. "
            "Make somebody else owner first, or delete the workspace."
        )
        self.names = tuple(names)


class LastAdministrator(Conflict):
    """The server would be left without an administrator."""

    def __init__(self) -> None:
        super().__init__("This is the last administrator of this server. Make somebody else one first.")


@dataclass(frozen=True, slots=True)
class Erasure:
    """An account that has ended, and the jobs that remove what was its person's."""

    user_id: UUID
    job_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class ErasureService:
    """What can be done about accounts that shall go."""

    database: Database
    changes: Changes
    credentials: CredentialService

    async def delete_own(self, viewer: Viewer, current_password: str) -> Erasure:
        """End the viewer's account at once, and have all that is his removed for good.

        Workspaces without other members go with it; where others are and own it too, he leaves.

        Raises:
            Forbidden: a key asks.
            InvalidCredentials: the password is wrong.
            RateLimited: too many passwords were tried.
            OthersNeedAnOwner: a workspace with other members would have no owner.
            LastAdministrator: the server has other users and no other administrator.
            Overloaded: too many passwords are being checked.
        """
        proven = await self.credentials.prove(viewer, current_password)
        async with self.database.begin() as session:
            user = await self._lock(session, proven.id)
            # While the hash took its time, another change may have made the proof worthless.
            if user is None or user.password_hash != proven.password_hash:
                raise InvalidCredentials("The current password is wrong.")
            return await self._erase(session, viewer, user)

    async def delete(self, by: Operator, email: str) -> Erasure:
        """End the account of an e-mail address, as its person could.

        Raises:
            NotFound: nobody has that address.
            OthersNeedAnOwner, LastAdministrator: as for `delete_own`.
        """
        async with self.database.begin() as session:
            found = await repository.user_by_email(session, normal_email(email))
            user = await self._lock(session, found.id) if found is not None else None
            if user is None:
                raise NotFound(f"account as {email}")
            return await self._erase(session, by, user)

    async def is_done(self, erasure: Erasure) -> bool:
        """Say whether all is removed."""
        async with self.database.begin() as session:
            return not await any_left(session, erasure.job_ids)

    async def _lock(self, session: AsyncSession, user_id: UUID) -> User | None:
        await user_repository.lock_admins(session)
        return await repository.lock_user(session, user_id, to_change=True)

    async def _erase(self, session: AsyncSession, by: Viewer | Operator, user: User) -> Erasure:
        if user.is_admin and await self._is_needed(session, user):
            raise LastAdministrator
        jobs = await self._leave_workspaces(session, user)
        record(session, AuditAct.ACCOUNT_DELETED, by, subject_id=user.id)
        await end_sessions(session, self.changes, user.id)
        await reset_repository.forget(session, user.id)
        # The row stays until the job has removed what hangs on it, but nothing in it tells of a person any more.
        # The database removes only accounts that have this address: see migration 0008.
        user.email, user.name, user.password_hash = f"{user.id}{ENDED_DOMAIN}", "Deleted account", "!"
        user.is_admin, user.disabled_at = False, datetime.now(UTC)
        session.add(user)
        # Also when no session ended: keys have sockets too.
        await self.changes.announce(session, [ACCESS_TOPIC])
        job_id = await enqueue(
            session,
            self.changes,
            workspace_id=user.id,
            kind=PURGE_ACCOUNT,
            payload={"user_id": str(user.id)},
            dedupe_key=f"{PURGE_ACCOUNT}:{user.id}",
            priority=PURGE_PRIORITY,
            max_attempts=PURGE_ATTEMPTS,
        )
        return Erasure(user.id, tuple(each for each in (*jobs, job_id) if each is not None))

    async def _is_needed(self, session: AsyncSession, user: User) -> bool:
        if await user_repository.has_other_admin(session, user.id):
            return False
        return await user_repository.has_other_user(session, user.id)

    async def _leave_workspaces(self, session: AsyncSession, user: User) -> list[UUID | None]:
        """Take the user out of all his workspaces; return the jobs that remove those in which nobody else is."""
        alone, needed = [], []
        for workspace in await self._lock_workspaces(session, user.id):
            if await workspaces.member_count(session, workspace.id) == 1:
                alone.append(workspace)
            elif not await workspaces.has_other_owner(session, workspace.id, user.id):
                needed.append(workspace)
        if needed:
            raise OthersNeedAnOwner([workspace.name for workspace in needed])
        jobs = []
        for workspace in alone:
            await widen(session, workspace.id)
            jobs.append(await remove_workspace(session, self.changes, workspace.id))
        await workspaces.end_memberships(session, user.id)
        return jobs

    async def _lock_workspaces(self, session: AsyncSession, user_id: UUID) -> list[Workspace]:
        """Lock all workspaces of a user, so that nobody makes him an owner, or leaves him alone, meanwhile."""
        locked: dict[UUID, Workspace] = {}
        while missing := set(await workspaces.ids_of_user(session, user_id)) - locked.keys():
            for workspace_id in sorted(missing):
                workspace = await workspaces.lock(session, workspace_id)
                if workspace is not None:
                    locked[workspace_id] = workspace
        return list(locked.values())
