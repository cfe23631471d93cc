"""Users and workspaces in the schema."""

from datetime import datetime

import strawberry
from strawberry import UNSET

from kyrochat.db import models
from kyrochat.db.keyset import Page
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import WorkspaceRole
from kyrochat.graphql.ids import global_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.translate import translate


@strawberry.type(description="A person with an account.")
class User(Node):
    """From models.User."""

    email: str = strawberry.field(description="The e-mail address that signs in, in lower case.")
    name: str = strawberry.field(description="How the person is called.")
    is_admin: bool = strawberry.field(description="Whether the person administers this server.")
    created_at: datetime = strawberry.field(description="When the account was made.")

    @classmethod
    def from_row(cls, row: models.User) -> "User":
        """Translate."""
        return cls(
            id=global_id("User", row.id),
            email=row.email,
            name=row.name,
            is_admin=row.is_admin,
            created_at=row.created_at,
        )


@strawberry.type(description="A tenant: it owns bots, documents and conversations. Registering makes a personal one.")
class Workspace(Node):
    """From models.Workspace."""

    name: str = strawberry.field(description="How it is called.")
    viewer_role: WorkspaceRole = strawberry.field(description="What you may do in it.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def from_row(cls, row: models.Workspace, context: Context) -> "Workspace":
        """Translate."""
        return cls(
            id=global_id("Workspace", row.id),
            name=row.name,
            viewer_role=context.viewer.workspaces[row.id],
            created_at=row.created_at,
        )


@translate.register
def _(row: models.User, context: Context) -> User:
    del context
    return User.from_row(row)


@translate.register
def _(row: models.Workspace, context: Context) -> Workspace:
    return Workspace.from_row(row, context)


@strawberry.type
class AccountQuery:
    """Queries on accounts."""

    @strawberry.field(description="Who you are.")
    async def me(self, info: Info) -> User:
        """Return the viewer."""
        return User.from_row(await info.context.services.accounts.me(info.context.viewer))

    @strawberry.field(description="Your workspaces, newest first.")
    async def workspaces(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Workspace]:
        """Page through the viewer's workspaces, which are few: the whole list is at hand."""
        rows = await info.context.services.accounts.workspaces(info.context.viewer)
        request = page_request(first, after, last, before)
        inside = [
            row
            for row in rows
            if (request.after is None or row.id < request.after) and (request.before is None or row.id > request.before)
        ]
        part = inside[-request.size :] if request.from_end else inside[: request.size]
        page = Page(
            part,
            has_next=bool(part) and part[-1] is not rows[-1],
            has_previous=bool(part) and part[0] is not rows[0],
        )

        async def count() -> int:
            return len(rows)

        return connection(page, lambda row: Workspace.from_row(row, info.context), count)
