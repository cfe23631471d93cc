"""Registering, signing in and staying signed in, in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts.sessions import SignedIn
from kyrochat.graphql.accounts import User
from kyrochat.graphql.context import Info
from kyrochat.graphql.credentials import NEW
from kyrochat.graphql.problems import (
    ConflictProblem,
    InvalidCredentialsProblem,
    InvalidInputProblem,
    RateLimitedProblem,
)


@strawberry.type(description="A sign-in. Its tokens are shown only here.")
class Session:
    """From sessions.SignedIn."""

    access_token: str = strawberry.field(description="Send it as `Authorization: Bearer …`; it lasts 15 minutes.")
    refresh_token: str = strawberry.field(
        description="Exchange it with `refreshSession`, once, before or after the access token has expired."
    )
    expires_at: datetime = strawberry.field(description="When the access token expires.")
    user: User = strawberry.field(description="Who is signed in.")

    @classmethod
    def from_signed_in(cls, signed_in: SignedIn) -> "Session":
        """Translate."""
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_at=signed_in.expires_at,
            user=User.from_row(signed_in.user),
        )


@strawberry.input(description="A new account.")
class RegisterInput:
    """For `register`."""

    email: str = strawberry.field(
        description="Signs in; shown to administrators and to owners of the workspaces that you join."
    )
    password: str = strawberry.field(description=NEW)
    name: str | None = strawberry.field(default=UNSET, description="By default the e-mail address up to the @.")
    setup_code: str | None = strawberry.field(
        default=UNSET,
        description="Only for the first account of a server that is not bound to a loopback address: "
        "the code that it printed when it started.",
    )
    invitation_token: str | None = strawberry.field(
        default=UNSET,
        description="Of an invitation: what comes after the # in its link. You join its workspace at once. Where "
        "registration is by invitation only, it takes one.",
    )


@strawberry.input(description="Who signs in.")
class LoginInput:
    """For `login`."""

    email: str = strawberry.field(description="The e-mail address of the account.")
    password: str = strawberry.field(description="Its password.")


@strawberry.input(description="A session that goes on.")
class RefreshSessionInput:
    """For `refreshSession`."""

    refresh_token: str = strawberry.field(description="The newest refresh token of the session.")


RegisterResult = Annotated[
    Session | InvalidInputProblem | ConflictProblem | RateLimitedProblem,
    strawberry.union("RegisterResult", description="You are signed in, or why not."),
]
LoginResult = Annotated[
    Session | InvalidCredentialsProblem | RateLimitedProblem,
    strawberry.union("LoginResult", description="You are signed in, or why not."),
]
RefreshSessionResult = Annotated[
    Session | InvalidCredentialsProblem,
    strawberry.union("RefreshSessionResult", description="You stay signed in, or why not."),
]


@strawberry.type
class SessionMutation:
    """Mutations on sessions."""

    @strawberry.mutation(
        description="Create an account with a personal workspace, and sign in. The first account is admin."
    )
    async def register(
        self, info: Info, input: Annotated[RegisterInput, strawberry.argument(description="The account.")]
    ) -> RegisterResult:
        """Register."""
        context = info.context
        signed_in = await context.services.registration.register(
            input.email,
            input.password,
            context.client,
            name=input.name or None,
            setup_code=input.setup_code or None,
            invitation_token=input.invitation_token or None,
        )
        return Session.from_signed_in(signed_in)

    @strawberry.mutation(description="Sign in.")
    async def login(
        self, info: Info, input: Annotated[LoginInput, strawberry.argument(description="Who signs in.")]
    ) -> LoginResult:
        """Sign in."""
        context = info.context
        return Session.from_signed_in(
            await context.services.sessions.login(input.email, input.password, context.client)
        )

    @strawberry.mutation(
        description="Exchange a refresh token for new tokens. Sent again within ten seconds, it gives the same refresh "
        "token, for an answer may be lost; a token that comes back later was stolen, and ends its session."
    )
    async def refresh_session(
        self, info: Info, input: Annotated[RefreshSessionInput, strawberry.argument(description="The session.")]
    ) -> RefreshSessionResult:
        """Refresh."""
        context = info.context
        return Session.from_signed_in(await context.services.sessions.refresh(input.refresh_token, context.client))
