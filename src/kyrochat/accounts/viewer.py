"""Who asks. Services take a Viewer, and only a valid token makes one."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Forbidden, NotFound


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in user and the workspaces that he belongs to."""

    user_id: UUID
    session_id: UUID | None
    workspaces: Mapping[UUID, WorkspaceRole]
    personal_workspace_id: UUID

    def workspace(self, workspace_id: UUID | None) -> UUID:
        """Return the workspace that an input names, or the personal one.

        Raises:
            NotFound: the viewer does not belong to it.
        """
        chosen = workspace_id or self.personal_workspace_id
        if chosen not in self.workspaces:
            raise NotFound("workspace")
        return chosen

    def must_edit(self, workspace_id: UUID) -> None:
        """Check that the viewer may change things there.

        Raises:
            Forbidden: the viewer may only look.
        """
        if self.workspaces.get(workspace_id) not in (WorkspaceRole.OWNER, WorkspaceRole.EDITOR):
            raise Forbidden("Your role in this workspace allows you to look, not to change. Ask an owner.")
