"""People who share workspaces, and what the database holds of them."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select

from kyrochat.accounts.invitations import InvitationService
from kyrochat.accounts.members import MemberService
from kyrochat.accounts.viewer import Viewer
from kyrochat.accounts.workspaces import WorkspaceService
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import AuditEntry, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from tests.factories import make_viewer


@dataclass(frozen=True)
class Team:
    """The services on workspaces over one database."""

    database: Database
    changes: Changes

    @property
    def workspaces(self) -> WorkspaceService:
        return WorkspaceService(self.database, self.changes)

    @property
    def members(self) -> MemberService:
        return MemberService(self.database, self.changes)

    @property
    def invitations(self) -> InvitationService:
        return InvitationService(self.database, self.changes, "https://chat.example.com")

    async def person(self, name: str) -> Viewer:
        return await make_viewer(self.database, f"{name}@example.com")

    async def workspace(self, owner: Viewer, name: str = "Harbour") -> UUID:
        return (await self.workspaces.create(owner, name)).id

    async def joined(self, viewer: Viewer, workspace_id: UUID, role: WorkspaceRole) -> Viewer:
        """Add a member behind the service's back, and return him as his next operation sees him."""
        async with self.database.begin() as session:
            session.add(WorkspaceMember(workspace_id=workspace_id, user_id=viewer.user_id, role=role))
        return seeing(viewer, workspace_id, role)

    async def roles(self, workspace_id: UUID) -> dict[UUID, WorkspaceRole]:
        """Who belongs to a workspace, as the database has it."""
        async with self.database.begin() as session:
            rows = await session.exec(select(WorkspaceMember).where(WorkspaceMember.workspace_id == workspace_id))
            return {row.user_id: row.role for row in rows}

    async def audit(self) -> list[AuditEntry]:
        async with self.database.begin(administers=True) as session:
            return list((await session.exec(select(AuditEntry).order_by(text("id")))).all())

    async def run(self, statement: str, *workspaces: UUID) -> list[Any]:
        async with self.database.begin(workspaces) as session:
            result = await (await session.connection()).execute(text(statement))
            return list(result.all()) if result.returns_rows else []


def seeing(viewer: Viewer, workspace_id: UUID, role: WorkspaceRole) -> Viewer:
    """The viewer, who belongs to the workspace as far as he knows."""
    return replace(viewer, workspaces={**viewer.workspaces, workspace_id: role})
