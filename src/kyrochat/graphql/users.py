"""What administrators of the server see and do, in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts.resets import ResetLink
from kyrochat.graphql.accounts import User
from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import UserStatus
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import ConflictProblem, NotFoundProblem


@strawberry.type(description="A link that sets a password once. It is shown only here; hand it to the person.")
class PasswordResetLink:
    """From resets.ResetLink."""

    url: str = strawberry.field(description="A page of this server with the token after the #.")
    token: str = strawberry.field(description="The token alone, for `resetPassword`.")
    expires_at: datetime = strawberry.field(description="When it stops working: 30 minutes from now.")
    user: User = strawberry.field(description="Whose password it sets.")

    @classmethod
    def from_link(cls, link: ResetLink) -> "PasswordResetLink":
        """Translate."""
        return cls(url=link.url, token=link.token, expires_at=link.expires_at, user=User.from_row(link.user))


@strawberry.input(description="Whether an account works.")
class SetUserDisabledInput:
    """For `setUserDisabled`."""

    user_id: strawberry.ID = strawberry.field(description="The user.")
    disabled: bool = strawberry.field(description="True disables the account, false enables it again.")


@strawberry.input(description="Whether somebody administers this server.")
class SetUserAdminInput:
    """For `setUserAdmin`."""

    user_id: strawberry.ID = strawberry.field(description="The user.")
    is_admin: bool = strawberry.field(description="True makes an administrator, false takes that away.")


@strawberry.input(description="Who needs a new password.")
class CreatePasswordResetLinkInput:
    """For `createPasswordResetLink`."""

    user_id: strawberry.ID = strawberry.field(description="The user.")


SetUserDisabledResult = Annotated[
    User | NotFoundProblem | ConflictProblem,
    strawberry.union("SetUserDisabledResult", description="The user as he is now, or why nothing changed."),
]
SetUserAdminResult = Annotated[
    User | NotFoundProblem | ConflictProblem,
    strawberry.union("SetUserAdminResult", description="The user as he is now, or why nothing changed."),
]
CreatePasswordResetLinkResult = Annotated[
    PasswordResetLink | NotFoundProblem | ConflictProblem,
    strawberry.union("CreatePasswordResetLinkResult", description="The link, or why there is none."),
]


@strawberry.type
class UserQuery:
    """Queries of administrators."""

    @strawberry.field(description="All users of this server, newest first. For its administrators.")
    async def users(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        email: Annotated[
            str | None, strawberry.argument(description="Only those whose e-mail address has this in it.")
        ] = UNSET,
        status: Annotated[
            UserStatus | None, strawberry.argument(description="Only those whose account works, or does not.")
        ] = UNSET,
    ) -> Connection[User]:
        """Page."""
        users, viewer = info.context.services.users, info.context.viewer
        wanted = (email or "", status or None)
        page = await users.page(viewer, page_request(first, after, last, before), *wanted)
        return connection(page, User.from_row, lambda: users.count(viewer, *wanted))


@strawberry.type
class UserMutation:
    """Mutations of administrators."""

    @strawberry.mutation(
        description="Disable an account, or enable it again. A disabled one's tokens, keys and open sockets stop at "
        "once. For administrators of this server."
    )
    async def set_user_disabled(
        self, info: Info, input: Annotated[SetUserDisabledInput, strawberry.argument(description="Who.")]
    ) -> SetUserDisabledResult:
        """Disable or enable."""
        context = info.context
        row = await context.services.users.set_disabled(
            context.viewer, row_id("User", input.user_id), disabled=input.disabled
        )
        return User.from_row(row)

    @strawberry.mutation(
        description="Make somebody an administrator of this server, or take that away. For administrators."
    )
    async def set_user_admin(
        self, info: Info, input: Annotated[SetUserAdminInput, strawberry.argument(description="Who.")]
    ) -> SetUserAdminResult:
        """Change."""
        context = info.context
        row = await context.services.users.set_admin(
            context.viewer, row_id("User", input.user_id), is_admin=input.is_admin
        )
        return User.from_row(row)

    @strawberry.mutation(
        description="Make a link that sets a user's password once, in place of all links before it. "
        "For administrators of this server, who never set passwords themselves."
    )
    async def create_password_reset_link(
        self, info: Info, input: Annotated[CreatePasswordResetLinkInput, strawberry.argument(description="Whose.")]
    ) -> CreatePasswordResetLinkResult:
        """Make."""
        context = info.context
        link = await context.services.resets.create_link(context.viewer, row_id("User", input.user_id))
        return PasswordResetLink.from_link(link)
