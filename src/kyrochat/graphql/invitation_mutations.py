"""Inviting, revoking and accepting in the schema."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts.invitations import DEFAULT_DAYS, InvitationLink
from kyrochat.db.states import WorkspaceRole as Role
from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import WorkspaceRole
from kyrochat.graphql.ids import optional_row_id, row_id
from kyrochat.graphql.invitations import Invitation
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem, QuotaExceededProblem
from kyrochat.graphql.workspaces import Workspace


@strawberry.type(description="A new invitation. Its token and link are shown only here.")
class InvitationCreated:
    """From invitations.InvitationLink."""

    invitation: Invitation = strawberry.field(description="The invitation.")
    token: str = strawberry.field(description="For `acceptInvitation` or `register`; only its hash is stored.")
    url: str = strawberry.field(
        description="The token in a link, after the #, to the page `/invitation` at the server's public URL."
    )

    @classmethod
    def from_link(cls, link: InvitationLink) -> "InvitationCreated":
        """Translate."""
        return cls(invitation=Invitation.from_row(link.invitation), token=link.token, url=link.url)


@strawberry.type(description="An invitation that is worthless from now on.")
class RevokedInvitation:
    """The answer of `revokeInvitation`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.input(description="Whom to invite, to what.")
class CreateInvitationInput:
    """For `createInvitation`."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=UNSET,
        description="The workspace, of which you are an owner. Left out, it is an invitation to make an account on "
        "this server, which takes an administrator.",
    )
    role: WorkspaceRole | None = strawberry.field(
        default=UNSET, description="What the person will be in the workspace; VIEWER by default."
    )
    email: str | None = strawberry.field(
        default=UNSET, description="Only the account with this address can accept; by default whoever has the link."
    )
    expires_in_days: int | None = strawberry.field(default=UNSET, description="1 to 30; 7 by default.")


@strawberry.input(description="An invitation that you have been given.")
class AcceptInvitationInput:
    """For `acceptInvitation`."""

    token: str = strawberry.field(description="What comes after the # in the link.")


CreateInvitationResult = Annotated[
    InvitationCreated | InvalidInputProblem | NotFoundProblem | QuotaExceededProblem,
    strawberry.union("CreateInvitationResult", description="The invitation with its link, or why there is none."),
]
RevokeInvitationResult = Annotated[
    RevokedInvitation | NotFoundProblem,
    strawberry.union("RevokeInvitationResult", description="The invitation is worthless, or was not there."),
]
AcceptInvitationResult = Annotated[
    Workspace | ConflictProblem | NotFoundProblem,
    strawberry.union("AcceptInvitationResult", description="The workspace that you belong to now, or why not."),
]


@strawberry.type
class InvitationMutation:
    """Mutations on invitations."""

    @strawberry.mutation(
        description="Invite one person into a workspace, or to make an account on this server. "
        "The link works once, and as long as whoever made it may invite."
    )
    async def create_invitation(
        self, info: Info, input: Annotated[CreateInvitationInput, strawberry.argument(description="The invitation.")]
    ) -> CreateInvitationResult:
        """Create."""
        link = await info.context.services.invitations.create(
            info.context.viewer,
            optional_row_id("Workspace", input.workspace_id),
            input.role or Role.VIEWER,
            input.email or None,
            DEFAULT_DAYS if input.expires_in_days in (None, UNSET) else input.expires_in_days,
        )
        return InvitationCreated.from_link(link)

    @strawberry.mutation(description="Make an invitation worthless.")
    async def revoke_invitation(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of an invitation.")]
    ) -> RevokeInvitationResult:
        """Revoke."""
        await info.context.services.invitations.revoke(info.context.viewer, row_id("Invitation", id))
        return RevokedInvitation(id=id)

    @strawberry.mutation(
        description="Join the workspace that you are invited to. A token that is unknown, used, revoked, expired or "
        "for somebody else is not found."
    )
    async def accept_invitation(
        self, info: Info, input: Annotated[AcceptInvitationInput, strawberry.argument(description="The invitation.")]
    ) -> AcceptInvitationResult:
        """Join."""
        workspace, role = await info.context.services.invitations.accept(info.context.viewer, input.token)
        info.context.come_to(workspace.id, role)
        return Workspace.from_row(workspace, info.context)
