"""New credentials for a socket that is open."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import strawberry

from kyrochat.errors import InvalidCredentials, Unauthenticated
from kyrochat.graphql.context import Info
from kyrochat.graphql.problems import InvalidCredentialsProblem, Problem


@strawberry.input(description="A new access token for a socket.")
class RefreshSocketInput:
    """For `refreshSocket`."""

    access_token: str = strawberry.field(
        description="A token of the same account, fresh from `refreshSession`; without `Bearer`."
    )


@strawberry.type(description="The socket goes on; so does what runs on it.")
class RefreshedSocket:
    """From transport.grants.Grant."""

    expires_at: datetime | None = strawberry.field(
        description="When the socket will be closed unless it is refreshed again; null for never."
    )


@strawberry.type(description="This works on a socket only. Over HTTP each request brings its own token.")
class NotASocketProblem(Problem):
    """For contexts without `renew`."""


RefreshSocketResult = Annotated[
    RefreshedSocket | InvalidCredentialsProblem | NotASocketProblem,
    strawberry.union("RefreshSocketResult", description="The socket stays open, or why it does not."),
]


@strawberry.type
class SocketMutation:
    """Mutations on the socket that they come by."""

    @strawberry.mutation(
        description="Give the graphql-transport-ws socket that this comes by a new access token. A socket is closed "
        "with 4401 when its token expires; a ping with `accessTokenExpiresInSeconds` comes before."
    )
    async def refresh_socket(
        self, info: Info, input: Annotated[RefreshSocketInput, strawberry.argument(description="The token.")]
    ) -> RefreshSocketResult:
        """Renew, without asking for a viewer: the new token says who it is."""
        if info.context.renew is None:
            return NotASocketProblem(message="This request came over HTTP: send the new token with the next one.")
        try:
            grant = await info.context.renew({"Authorization": f"Bearer {input.access_token}"})
        except Unauthenticated as error:
            raise InvalidCredentials(error.message) from error
        if grant.expires_in_s is None:
            return RefreshedSocket(expires_at=None)
        return RefreshedSocket(expires_at=datetime.now(UTC) + timedelta(seconds=grant.expires_in_s))
