"""Invitations in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts import invitations
from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import WorkspaceRole
from kyrochat.graphql.ids import global_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.translate import translate


@strawberry.type(description="A link that lets one person in, once.")
class Invitation(Node):
    """From models.Invitation."""

    role: WorkspaceRole | None = strawberry.field(
        description="What the person will be in the workspace; null for an invitation to the server itself."
    )
    email: str | None = strawberry.field(
        description="Only the account with this address can accept it; null: whoever has the link."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime = strawberry.field(description="When it becomes worthless.")

    @classmethod
    def from_row(cls, row: models.Invitation) -> "Invitation":
        """Translate."""
        return cls(
            id=global_id("Invitation", row.id),
            role=None if row.workspace_id is None else row.role,
            email=row.email or None,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )


@translate.register
def _(row: models.Invitation, context: Context) -> Invitation:
    del context
    return Invitation.from_row(row)


@strawberry.type(description="What an invitation is for, as whoever has its link may know.")
class InvitationPreview:
    """From invitations.Preview."""

    workspace_name: str | None = strawberry.field(
        description="The workspace that it leads into; null for an invitation to the server itself."
    )
    role: WorkspaceRole | None = strawberry.field(
        description="What you would be in the workspace; null for an invitation to the server itself."
    )

    @classmethod
    def from_preview(cls, preview: invitations.Preview) -> "InvitationPreview":
        """Translate."""
        return cls(workspace_name=preview.workspace_name, role=preview.role)


@strawberry.type
class InvitationQuery:
    """Queries on invitations."""

    @strawberry.field(
        description="What an invitation is for, by its token, or null when that is not good any more. Needs no sign-in."
    )
    async def invitation(
        self, info: Info, token: Annotated[str, strawberry.argument(description="What comes after the # in the link.")]
    ) -> InvitationPreview | None:
        """Look."""
        preview = await info.context.services.invitations.preview(token)
        return InvitationPreview.from_preview(preview) if preview else None

    @strawberry.field(
        description="The open invitations to the server itself, newest first. For administrators of this server."
    )
    async def site_invitations(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Invitation]:
        """Page."""
        service, viewer = info.context.services.invitations, info.context.viewer
        page = await service.page(viewer, None, page_request(first, after, last, before))
        return connection(page, Invitation.from_row, lambda: service.count(viewer, None))
