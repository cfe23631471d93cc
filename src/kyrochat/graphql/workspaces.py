"""Workspaces in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.db import models
from kyrochat.db.keyset import page_at_hand
from kyrochat.db.states import WorkspaceRole as Role
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import WorkspaceRole
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.invitations import Invitation
from kyrochat.graphql.members import Member
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem, QuotaExceededProblem
from kyrochat.graphql.translate import translate

NAME = "How it is called, up to 100 characters."
WorkspaceId = Annotated[strawberry.ID, strawberry.argument(description="The id of a workspace.")]


@strawberry.type(description="A tenant: it owns bots, documents and conversations. Registering makes a personal one.")
class Workspace(Node):
    """From models.Workspace."""

    row: strawberry.Private[models.Workspace]
    name: str = strawberry.field(description="How it is called.")
    viewer_role: WorkspaceRole = strawberry.field(description="What you may do in it.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def from_row(cls, row: models.Workspace, context: Context) -> "Workspace":
        """Translate."""
        return cls(
            id=global_id("Workspace", row.id),
            row=row,
            name=row.name,
            viewer_role=context.viewer.workspaces[row.id],
            created_at=row.created_at,
        )

    @strawberry.field(description="Who belongs to it, the newest account first.")
    async def members(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Member]:
        """Page."""
        members, viewer = info.context.services.members, info.context.viewer
        page = await members.page(viewer, self.row.id, page_request(first, after, last, before))
        return connection(
            page, Member.from_member, lambda: members.count(viewer, self.row.id), key=lambda member: member.user_id
        )

    @strawberry.field(
        description="The invitations into it that can still be accepted, newest first; null unless you are an owner."
    )
    async def invitations(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Invitation] | None:
        """Page."""
        service, viewer = info.context.services.invitations, info.context.viewer
        if viewer.workspaces[self.row.id] is not Role.OWNER:
            return None
        page = await service.page(viewer, self.row.id, page_request(first, after, last, before))
        return connection(page, Invitation.from_row, lambda: service.count(viewer, self.row.id))


@translate.register
def _(row: models.Workspace, context: Context) -> Workspace:
    return Workspace.from_row(row, context)


@strawberry.type(description="A workspace that is gone, with all that was in it.")
class DeletedWorkspace:
    """The answer of `deleteWorkspace`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.input(description="A new workspace.")
class CreateWorkspaceInput:
    """For `createWorkspace`."""

    name: str = strawberry.field(description=NAME)


@strawberry.input(description="Changes of a workspace.")
class UpdateWorkspaceInput:
    """For `updateWorkspace`."""

    id: strawberry.ID = strawberry.field(description="The workspace to change.")
    name: str = strawberry.field(description=NAME)


CreateWorkspaceResult = Annotated[
    Workspace | InvalidInputProblem | QuotaExceededProblem,
    strawberry.union("CreateWorkspaceResult", description="The workspace, or why there is none."),
]
UpdateWorkspaceResult = Annotated[
    Workspace | InvalidInputProblem | NotFoundProblem,
    strawberry.union("UpdateWorkspaceResult", description="The workspace as it is now, or why it was not changed."),
]
DeleteWorkspaceResult = Annotated[
    DeletedWorkspace | ConflictProblem | NotFoundProblem,
    strawberry.union("DeleteWorkspaceResult", description="The workspace is gone, or why not."),
]


@strawberry.type
class WorkspaceQuery:
    """Queries on workspaces."""

    @strawberry.field(description="A workspace of yours, or null.")
    async def workspace(self, info: Info, id: WorkspaceId) -> Workspace | None:
        """Load."""
        row = await info.context.workspaces.load(row_id("Workspace", id))
        return Workspace.from_row(row, info.context) if row else None

    @strawberry.field(description="Your workspaces, newest first.")
    async def workspaces(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Workspace]:
        """Page through the viewer's workspaces, which are few: the whole list is at hand."""
        rows = await info.context.services.workspaces.mine(info.context.viewer)
        page = page_at_hand(rows, lambda row: row.id, page_request(first, after, last, before))

        async def count() -> int:
            return len(rows)

        return connection(page, lambda row: Workspace.from_row(row, info.context), count)


@strawberry.type
class WorkspaceMutation:
    """Mutations on workspaces."""

    @strawberry.mutation(description="Make a workspace, of which you are the owner.")
    async def create_workspace(
        self, info: Info, input: Annotated[CreateWorkspaceInput, strawberry.argument(description="The workspace.")]
    ) -> CreateWorkspaceResult:
        """Create."""
        row = await info.context.services.workspaces.create(info.context.viewer, input.name)
        info.context.come_to(row.id, Role.OWNER)
        return Workspace.from_row(row, info.context)

    @strawberry.mutation(description="Change a workspace.")
    async def update_workspace(
        self, info: Info, input: Annotated[UpdateWorkspaceInput, strawberry.argument(description="What to change.")]
    ) -> UpdateWorkspaceResult:
        """Change."""
        workspaces = info.context.services.workspaces
        row = await workspaces.rename(info.context.viewer, row_id("Workspace", input.id), input.name)
        return Workspace.from_row(row, info.context)

    @strawberry.mutation(
        description="Delete a workspace with its bots, documents, conversations, API keys and invitations, for all its "
        "members. Nothing of it can be reached from now on; its content is removed by a job. A personal workspace goes "
        "with its person's account only."
    )
    async def delete_workspace(self, info: Info, id: WorkspaceId) -> DeleteWorkspaceResult:
        """Delete."""
        await info.context.services.workspaces.delete(info.context.viewer, row_id("Workspace", id))
        return DeletedWorkspace(id=id)
