"""Use cases of workspaces: making, renaming and deleting them."""

from dataclasses import dataclass, replace
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository as accounts
from kyrochat.accounts import workspace_repository as repository
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database, widen
from kyrochat.db.models import Workspace, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Conflict, NotFound, QuotaExceeded, Unauthenticated
from kyrochat.jobs.queue import PURGE_ATTEMPTS, PURGE_PRIORITY, enqueue
from kyrochat.rules import Rules

MAX_NAME_CHARS = 100
# Each transaction names all of them to the database.
MAX_OWNED = 100

# The handler lives in `documents`, floors above: `app` brings them together.
PURGE_WORKSPACE = "purge_workspace"


class PersonalWorkspace(Conflict):
    """A personal workspace belongs to its person for as long as the account lives."""


@dataclass(frozen=True, slots=True)
class WorkspaceService:
    """What can be done with workspaces."""

    database: Database
    changes: Changes

    async def mine(self, viewer: Viewer) -> list[Workspace]:
        """Return the viewer's workspaces, newest first."""
        async with self.database.begin() as session:
            found = await repository.by_id(session, list(viewer.workspaces))
        return sorted(found, key=lambda workspace: workspace.id, reverse=True)

    async def create(self, viewer: Viewer, name: str) -> Workspace:
        """Make a workspace that the viewer owns, and return it.

        Raises:
            InvalidInput: the name is empty or too long.
            Forbidden: a key asks.
            QuotaExceeded: the viewer owns as many as one person may.
        """
        viewer.must_be_person()
        workspace = Workspace(name=_checked(name))
        async with self.database.begin() as session:
            # Locked, so that ten at once are counted one after the other, and none is made for an account that ends.
            user = await accounts.lock_user(session, viewer.user_id, to_change=True)
            if user is None or user.disabled_at is not None:
                raise Unauthenticated("The account is gone.")
            if await repository.owned_count(session, viewer.user_id) >= MAX_OWNED:
                raise QuotaExceeded(f"You own {MAX_OWNED} workspaces, the most that one person may. Delete one first.")
            session.add(workspace)
            await session.flush()
            session.add(WorkspaceMember(workspace_id=workspace.id, user_id=viewer.user_id, role=WorkspaceRole.OWNER))
            await self.changes.announce(session, [ACCESS_TOPIC])
            await widen(session, workspace.id)
            record(
                session,
                AuditAct.WORKSPACE_CREATED,
                viewer,
                workspace_id=workspace.id,
                of=("Workspace", workspace.id),
            )
            await session.flush()
            await session.refresh(workspace)
        return workspace

    async def rename(self, viewer: Viewer, workspace_id: UUID, name: str) -> Workspace:
        """Give a workspace another name, and return it.

        Raises:
            InvalidInput: the name is empty or too long.
            NotFound: the viewer does not belong to it.
            Forbidden: the viewer is not its owner.
        """
        name = _checked(name)
        viewer.must(Act.MANAGE_WORKSPACE, workspace_id)
        async with self.database.begin([workspace_id]) as session:
            workspace = await lock_workspace(session, viewer, workspace_id, Act.MANAGE_WORKSPACE)
            workspace.name = name
            session.add(workspace)
            record(
                session,
                AuditAct.WORKSPACE_CHANGED,
                viewer,
                workspace_id=workspace_id,
                of=("Workspace", workspace_id),
                details={"fields": ["name"]},
            )
            return workspace

    async def delete(self, viewer: Viewer, workspace_id: UUID) -> UUID:
        """Make a workspace and all that is in it unreachable at once, for everybody; a job removes it for good.

        Raises:
            NotFound: the viewer does not belong to it.
            Forbidden: the viewer is not its owner.
            PersonalWorkspace: it is somebody's personal one.
        """
        viewer.must(Act.MANAGE_WORKSPACE, workspace_id)
        async with self.database.begin([workspace_id]) as session:
            await lock_workspace(session, viewer, workspace_id, Act.MANAGE_WORKSPACE)
            if await repository.is_personal(session, workspace_id):
                raise PersonalWorkspace("A personal workspace lives as long as its person's account.")
            await remove_workspace(session, self.changes, workspace_id)
            # Of the site: what is the workspace's own goes with it.
            record(session, AuditAct.WORKSPACE_DELETED, viewer, of=("Workspace", workspace_id))
        return workspace_id


async def remove_workspace(session: AsyncSession, changes: Changes, workspace_id: UUID) -> UUID | None:
    """Shut a locked workspace, and have a job remove what is in it; return the job's id. The session must see it."""
    await repository.shut(session, workspace_id)
    await changes.announce(session, [ACCESS_TOPIC])
    return await enqueue(
        session,
        changes,
        workspace_id=workspace_id,
        kind=PURGE_WORKSPACE,
        payload={},
        dedupe_key=f"{PURGE_WORKSPACE}:{workspace_id}",
        priority=PURGE_PRIORITY,
        max_attempts=PURGE_ATTEMPTS,
    )


async def lock_workspace(session: AsyncSession, viewer: Viewer, workspace_id: UUID, act: Act | None) -> Workspace:
    """Lock a workspace, and check that the viewer may do that in it now, whatever he might when he came in.

    Raises:
        NotFound: the viewer does not belong to it any more.
        Forbidden: his role there is too low by now.
    """
    workspace = await repository.lock(session, workspace_id)
    member = await repository.member(session, workspace_id, viewer.user_id)
    if workspace is None or member is None:
        raise NotFound("workspace")
    if act is not None:
        replace(viewer, workspaces={workspace_id: member.role}).must(act, workspace_id)
    return workspace


def _checked(name: str) -> str:
    rules = Rules()
    name = rules.text("name", name, max_chars=MAX_NAME_CHARS, min_chars=1)
    rules.enforce()
    return name
