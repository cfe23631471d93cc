"""Changing one's own account, and setting a forgotten password anew, in the schema."""

from typing import Annotated

import strawberry

from kyrochat.graphql.accounts import User
from kyrochat.graphql.context import Info
from kyrochat.graphql.problems import (
    ConflictProblem,
    InvalidCredentialsProblem,
    InvalidInputProblem,
    NotConfiguredProblem,
    RateLimitedProblem,
)

NEW = "8 to 1,024 bytes of any kind, and none that is tried first: neither a common one nor your name."
CURRENT = "The password that you signed in with, to show that it is you."


@strawberry.input(description="How you are called.")
class UpdateProfileInput:
    """For `updateProfile`."""

    name: str = strawberry.field(description="1 to 100 characters.")


@strawberry.input(description="A new password.")
class ChangePasswordInput:
    """For `changePassword`."""

    current_password: str = strawberry.field(description=CURRENT)
    new_password: str = strawberry.field(description=NEW)


@strawberry.input(description="Another e-mail address.")
class ChangeEmailInput:
    """For `changeEmail`."""

    current_password: str = strawberry.field(description=CURRENT)
    new_email: str = strawberry.field(description="Signs in from now on.")


@strawberry.input(description="Who has forgotten a password.")
class RequestPasswordResetInput:
    """For `requestPasswordReset`."""

    email: str = strawberry.field(description="The e-mail address of the account.")


@strawberry.input(description="A new password in the place of a forgotten one.")
class ResetPasswordInput:
    """For `resetPassword`."""

    token: str = strawberry.field(description="What comes after the # in the link.")
    new_password: str = strawberry.field(description=NEW)


@strawberry.type(description="A link is on its way, if the address has an account. Whether it has is not said.")
class PasswordResetRequest:
    """The answer of `requestPasswordReset`."""

    message: str = strawberry.field(description="What to do next, for people.")


@strawberry.type(description="A password that was set anew. All sessions of the account have ended.")
class PasswordResetDone:
    """The answer of `resetPassword`."""

    email: str = strawberry.field(description="What to sign in with, together with the new password.")


UpdateProfileResult = Annotated[
    User | InvalidInputProblem,
    strawberry.union("UpdateProfileResult", description="You as you are now, or why nothing changed."),
]
ChangePasswordResult = Annotated[
    User | InvalidInputProblem | InvalidCredentialsProblem | RateLimitedProblem,
    strawberry.union("ChangePasswordResult", description="The password is changed, or why not."),
]
ChangeEmailResult = Annotated[
    User | InvalidInputProblem | InvalidCredentialsProblem | ConflictProblem | RateLimitedProblem,
    strawberry.union("ChangeEmailResult", description="You with the new address, or why it was not changed."),
]
RequestPasswordResetResult = Annotated[
    PasswordResetRequest | NotConfiguredProblem | RateLimitedProblem,
    strawberry.union("RequestPasswordResetResult", description="A mail may be on its way, or none can be."),
]
ResetPasswordResult = Annotated[
    PasswordResetDone | InvalidInputProblem | InvalidCredentialsProblem | RateLimitedProblem,
    strawberry.union("ResetPasswordResult", description="The password is set, or why not."),
]


@strawberry.type
class CredentialMutation:
    """Mutations on one's own account."""

    @strawberry.mutation(description="Change how you are called.")
    async def update_profile(
        self, info: Info, input: Annotated[UpdateProfileInput, strawberry.argument(description="The name.")]
    ) -> UpdateProfileResult:
        """Change."""
        return User.from_row(await info.context.services.accounts.rename(info.context.viewer, input.name))

    @strawberry.mutation(description="Change your password. All your other sessions end; API keys go on.")
    async def change_password(
        self, info: Info, input: Annotated[ChangePasswordInput, strawberry.argument(description="Both passwords.")]
    ) -> ChangePasswordResult:
        """Change."""
        context = info.context
        row = await context.services.credentials.change_password(
            context.viewer, input.current_password, input.new_password
        )
        return User.from_row(row)

    @strawberry.mutation(description="Change the e-mail address that you sign in with.")
    async def change_email(
        self, info: Info, input: Annotated[ChangeEmailInput, strawberry.argument(description="The address.")]
    ) -> ChangeEmailResult:
        """Change."""
        context = info.context
        row = await context.services.credentials.change_email(context.viewer, input.current_password, input.new_email)
        return User.from_row(row)

    @strawberry.mutation(
        description="Have a link mailed that sets a new password. Needs no sign-in; the answer is the same for every "
        "address. Where the server sends no mail, an administrator can make a link."
    )
    async def request_password_reset(
        self, info: Info, input: Annotated[RequestPasswordResetInput, strawberry.argument(description="Who.")]
    ) -> RequestPasswordResetResult:
        """Have a mail written."""
        await info.context.services.resets.request(input.email, info.context.client)
        return PasswordResetRequest(
            message="If this address has an account, a link is on its way. It works for 30 minutes, once."
        )

    @strawberry.mutation(
        description="Set a new password by a link's token. Needs no sign-in, and signs nobody in. All sessions of the "
        "account end."
    )
    async def reset_password(
        self, info: Info, input: Annotated[ResetPasswordInput, strawberry.argument(description="The password.")]
    ) -> ResetPasswordResult:
        """Set."""
        context = info.context
        row = await context.services.resets.reset(input.token, input.new_password, context.client)
        return PasswordResetDone(email=row.email)
