"""Where one is signed in, in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts.session_repository import ends_at
from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import NotFoundProblem, RateLimitedProblem
from kyrochat.graphql.translate import translate


@strawberry.type(description="A sign-in of yours that has not ended.")
class ActiveSession(Node):
    """From models.UserSession."""

    created_at: datetime = strawberry.field(description="When you signed in.")
    refreshed_at: datetime = strawberry.field(description="When it was last refreshed: it was in use then.")
    expires_at: datetime = strawberry.field(
        description="When it ends unless it is refreshed: two weeks after the last time, 30 days after the sign-in."
    )
    address: str = strawberry.field(description="The IP address that you signed in from.")
    user_agent: str = strawberry.field(description="The program that you signed in with, as it calls itself.")
    is_current: bool = strawberry.field(description="Whether this operation came by it.")

    @classmethod
    def from_row(cls, row: models.UserSession, context: Context) -> "ActiveSession":
        """Translate."""
        return cls(
            id=global_id("ActiveSession", row.id),
            created_at=row.created_at,
            refreshed_at=row.refreshed_at,
            expires_at=ends_at(row),
            address=row.address,
            user_agent=row.user_agent,
            is_current=row.id == context.viewer.session_id,
        )


@translate.register
def _(row: models.UserSession, context: Context) -> ActiveSession:
    return ActiveSession.from_row(row, context)


@strawberry.type(description="A session that has ended: its tokens stop working, and what it watches is cut off.")
class EndedSession:
    """The answer of `endSession`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.type(description="Sessions that have ended.")
class EndedSessions:
    """The answer of `logoutEverywhere`."""

    count: int = strawberry.field(description="How many.")


@strawberry.input(description="Which sessions to end.")
class LogoutEverywhereInput:
    """For `logoutEverywhere`."""

    keep_current: bool = strawberry.field(default=False, description="Whether this session goes on.")


EndSessionResult = Annotated[
    EndedSession | NotFoundProblem,
    strawberry.union("EndSessionResult", description="The session has ended, or there was none."),
]
LogoutEverywhereResult = Annotated[
    EndedSessions | RateLimitedProblem,
    strawberry.union("LogoutEverywhereResult", description="The sessions have ended, or why not."),
]


@strawberry.type
class ActiveSessionQuery:
    """Queries on sessions."""

    @strawberry.field(description="Your sessions, newest first: where you are signed in.")
    async def sessions(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[ActiveSession]:
        """Page."""
        sessions, viewer = info.context.services.sessions, info.context.viewer
        page = await sessions.page(viewer, page_request(first, after, last, before))
        return connection(page, lambda row: ActiveSession.from_row(row, info.context), lambda: sessions.count(viewer))


@strawberry.type
class ActiveSessionMutation:
    """Mutations that end sessions."""

    @strawberry.mutation(description="End this session: its tokens stop working. False when there is none.")
    async def logout(self, info: Info) -> bool:
        """Sign out."""
        return await info.context.services.sessions.logout(info.context.viewer)

    @strawberry.mutation(description="End a session of yours, on a device that you have lost for example.")
    async def end_session(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of a session.")]
    ) -> EndSessionResult:
        """End."""
        await info.context.services.sessions.end_one(info.context.viewer, row_id("ActiveSession", id))
        return EndedSession(id=id)

    @strawberry.mutation(description="End all your sessions, wherever they are. API keys go on.")
    async def logout_everywhere(
        self,
        info: Info,
        input: Annotated[LogoutEverywhereInput, strawberry.argument(description="Which sessions.")],
    ) -> LogoutEverywhereResult:
        """End."""
        count = await info.context.services.sessions.logout_everywhere(
            info.context.viewer, keep_current=input.keep_current
        )
        return EndedSessions(count=count)
