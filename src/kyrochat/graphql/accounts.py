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
