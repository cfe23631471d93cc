"""Members of workspaces in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry

from kyrochat.accounts import members
from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import WorkspaceRole
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.problems import ConflictProblem, NotFoundProblem

USER_ID = "The member's `userId`."


@strawberry.type(description="A person who belongs to a workspace.")
class Member:
    """From members.Member."""

    user_id: strawberry.ID = strawberry.field(description="The person's id, for `changeMemberRole` and `removeMember`.")
    name: str = strawberry.field(description="How the person is called.")
    email: str | None = strawberry.field(
        description="The person's e-mail address; null for whoever neither owns the workspace nor is the person."
    )
    role: WorkspaceRole = strawberry.field(description="What the person may do in the workspace.")
    joined_at: datetime = strawberry.field(description="Since when the person belongs to it.")

    @classmethod
    def from_member(cls, member: members.Member) -> "Member":
        """Translate."""
        return cls(
            user_id=global_id("User", member.user_id),
            name=member.name,
            email=member.email,
            role=member.role,
            joined_at=member.joined_at,
        )


@strawberry.type(description="A person who does not belong to the workspace any more.")
class RemovedMember:
    """The answer of `removeMember`."""

    user_id: strawberry.ID = strawberry.field(description="The person's id.")


@strawberry.type(description="A workspace to which you do not belong any more.")
class LeftWorkspace:
    """The answer of `leaveWorkspace`."""

    id: strawberry.ID = strawberry.field(description="The workspace's id.")


@strawberry.input(description="Another role for a member.")
class ChangeMemberRoleInput:
    """For `changeMemberRole`."""

    workspace_id: strawberry.ID = strawberry.field(description="The workspace, of which you are an owner.")
    user_id: strawberry.ID = strawberry.field(description=USER_ID)
    role: WorkspaceRole = strawberry.field(description="What the member may do from now on.")


@strawberry.input(description="A member who shall go.")
class RemoveMemberInput:
    """For `removeMember`."""

    workspace_id: strawberry.ID = strawberry.field(description="The workspace, of which you are an owner.")
    user_id: strawberry.ID = strawberry.field(description=USER_ID)


ChangeMemberRoleResult = Annotated[
    Member | ConflictProblem | NotFoundProblem,
    strawberry.union("ChangeMemberRoleResult", description="The member as he is now, or why he was not changed."),
]
RemoveMemberResult = Annotated[
    RemovedMember | ConflictProblem | NotFoundProblem,
    strawberry.union("RemoveMemberResult", description="The member is gone, or why not."),
]
LeaveWorkspaceResult = Annotated[
    LeftWorkspace | ConflictProblem | NotFoundProblem,
    strawberry.union("LeaveWorkspaceResult", description="You do not belong to it any more, or why you still do."),
]


@strawberry.type
class MemberMutation:
    """Mutations on members."""

    @strawberry.mutation(
        description="Give a member another role; it holds from the member's next operation on. Of owners there is "
        "always one, and a personal workspace's person stays its owner."
    )
    async def change_member_role(
        self, info: Info, input: Annotated[ChangeMemberRoleInput, strawberry.argument(description="Who becomes what.")]
    ) -> ChangeMemberRoleResult:
        """Change."""
        member = await info.context.services.members.change_role(
            info.context.viewer,
            row_id("Workspace", input.workspace_id),
            row_id("User", input.user_id),
            input.role,
        )
        return Member.from_member(member)

    @strawberry.mutation(
        description="Put a member out of a workspace. Open sockets that the member has end at once, and API keys that "
        "the member made there are revoked; what else the member made stays."
    )
    async def remove_member(
        self, info: Info, input: Annotated[RemoveMemberInput, strawberry.argument(description="Who goes.")]
    ) -> RemoveMemberResult:
        """Remove."""
        await info.context.services.members.remove(
            info.context.viewer, row_id("Workspace", input.workspace_id), row_id("User", input.user_id)
        )
        return RemovedMember(user_id=input.user_id)

    @strawberry.mutation(
        description="Leave a workspace, unless it is your personal one, or you are its only owner. "
        "API keys that you made there are revoked."
    )
    async def leave_workspace(
        self,
        info: Info,
        workspace_id: Annotated[strawberry.ID, strawberry.argument(description="The workspace to leave.")],
    ) -> LeaveWorkspaceResult:
        """Leave."""
        await info.context.services.members.leave(info.context.viewer, row_id("Workspace", workspace_id))
        return LeftWorkspace(id=workspace_id)
