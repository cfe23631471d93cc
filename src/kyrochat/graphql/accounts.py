"""Users, workspaces and sessions in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts.service import SignedIn
from kyrochat.db import models
from kyrochat.db.keyset import Page
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import WorkspaceRole
from kyrochat.graphql.ids import global_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import (
    ConflictProblem,
    InvalidCredentialsProblem,
    InvalidInputProblem,
    RateLimitedProblem,
)
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


@strawberry.type(description="A sign-in. Its tokens are shown only here.")
class Session:
    """From service.SignedIn."""

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

    email: str = strawberry.field(description="Signs in; not shown to others.")
    password: str = strawberry.field(description="8 bytes or more; length matters, nothing else.")
    name: str | None = strawberry.field(default=UNSET, description="By default the e-mail address up to the @.")
    setup_code: str | None = strawberry.field(
        default=UNSET,
        description="Only for the first account of a server that is not bound to a loopback address: "
        "the code that it printed when it started.",
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


@strawberry.type
class AccountMutation:
    """Mutations on accounts."""

    @strawberry.mutation(
        description="Create an account with a personal workspace, and sign in. The first account is admin."
    )
    async def register(
        self, info: Info, input: Annotated[RegisterInput, strawberry.argument(description="The account.")]
    ) -> RegisterResult:
        """Register."""
        accounts = info.context.services.accounts
        signed_in = await accounts.register(input.email, input.password, input.name or None, input.setup_code or None)
        return Session.from_signed_in(signed_in)

    @strawberry.mutation(description="Sign in.")
    async def login(
        self, info: Info, input: Annotated[LoginInput, strawberry.argument(description="Who signs in.")]
    ) -> LoginResult:
        """Sign in."""
        return Session.from_signed_in(await info.context.services.accounts.login(input.email, input.password))

    @strawberry.mutation(
        description="Exchange a refresh token for new tokens. A token that is used twice ends its session."
    )
    async def refresh_session(
        self, info: Info, input: Annotated[RefreshSessionInput, strawberry.argument(description="The session.")]
    ) -> RefreshSessionResult:
        """Refresh."""
        return Session.from_signed_in(await info.context.services.accounts.refresh(input.refresh_token))

    @strawberry.mutation(description="End this session: its tokens stop working. False when there is none.")
    async def logout(self, info: Info) -> bool:
        """Sign out."""
        return await info.context.services.accounts.logout(info.context.viewer)
