"""Other people in the schema."""

import strawberry

from kyrochat.db import models
from kyrochat.graphql.ids import global_id


@strawberry.type(description="Somebody as others see him who share a workspace with him, or administer this server.")
class Person:
    """From models.User."""

    user_id: strawberry.ID = strawberry.field(description="The id of the person's `User`.")
    name: str = strawberry.field(description="How the person is called.")
    email: str = strawberry.field(description="The e-mail address that signs in.")

    @classmethod
    def from_row(cls, row: models.User) -> "Person":
        """Translate."""
        return cls(user_id=global_id("User", row.id), name=row.name, email=row.email)
