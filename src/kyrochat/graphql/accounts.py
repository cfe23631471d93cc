"""Users in the schema."""

from datetime import datetime

import strawberry

from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.ids import global_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.translate import translate


@strawberry.type(description="A person with an account.")
class User(Node):
    """From models.User."""

    email: str = strawberry.field(description="The e-mail address that signs in, in lower case.")
    name: str = strawberry.field(description="How the person is called.")
    is_admin: bool = strawberry.field(description="Whether the person administers this server.")
    created_at: datetime = strawberry.field(description="When the account was made.")
    row: strawberry.Private[models.User]

    @classmethod
    def from_row(cls, row: models.User) -> "User":
        """Translate."""
        return cls(
            row=row,
            id=global_id("User", row.id),
            email=row.email,
            name=row.name,
            is_admin=row.is_admin,
            created_at=row.created_at,
        )

    @strawberry.field(
        description="When an administrator disabled the account; null while it works. Null for whoever is no "
        "administrator, too."
    )
    def disabled_at(self, info: Info) -> datetime | None:
        """Return it to administrators."""
        viewer = info.context.signed_in
        return self.row.disabled_at if viewer is not None and viewer.is_admin else None

    @strawberry.field(
        description="When the person last signed in or refreshed a session, for administrators and the person only; "
        "null when that never happened."
    )
    async def last_active_at(self, info: Info) -> datetime | None:
        """Load for those whom it concerns."""
        viewer = info.context.signed_in
        if viewer is None or not (viewer.is_admin or viewer.user_id == self.row.id):
            return None
        return await info.context.last_active.load(self.row.id)


@translate.register
def _(row: models.User, context: Context) -> User:
    del context
    return User.from_row(row)


@strawberry.type
class AccountQuery:
    """Queries on accounts."""

    @strawberry.field(description="Who you are.")
    async def me(self, info: Info) -> User:
        """Return the viewer."""
        return User.from_row(await info.context.services.accounts.me(info.context.viewer))
