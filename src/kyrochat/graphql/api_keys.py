"""API keys in the schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, cast

import strawberry
from strawberry import UNSET

from kyrochat.accounts.api_keys import NewKey
from kyrochat.db import models
from kyrochat.errors import NotFound
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import ApiKeyScope
from kyrochat.graphql.ids import global_id, optional_row_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.optional import if_given
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.people import Person
from kyrochat.graphql.problems import InvalidInputProblem, NotFoundProblem, QuotaExceededProblem
from kyrochat.graphql.translate import translate
from kyrochat.graphql.workspaces import Workspace

if TYPE_CHECKING:
    from kyrochat.graphql.bots import Bot

# GraphQL's integers end here.
MAX_INT = 2**31 - 1

NAME = "What it is for, up to 100 characters."
SCOPES = "What it is good for. Beyond that it may never do more than whoever made it may at that moment."
BOT = "The only bot that it reaches; all bots of the workspace when null."
ORIGINS = (
    "The web pages that may use it, like https://shop.example or http://localhost:3000. With any, it is for browsers "
    "only and may be in a page's source: it has the scope CHAT and no other, one bot, and reaches only conversations "
    "that such keys began, by their ids. Without, it is secret and for servers only."
)
BUDGET = "The tokens that its answers may take a day, in UTC. Answers under way may exceed it."


@strawberry.type(description="A program's way in, in the name of whoever made it.")
class ApiKey(Node):
    """From models.ApiKey."""

    row: strawberry.Private[models.ApiKey]
    name: str = strawberry.field(description=NAME)
    prefix: str = strawberry.field(description="The first characters of its secret, to tell keys apart.")
    scopes: list[ApiKeyScope] = strawberry.field(description=SCOPES)
    allowed_origins: list[str] = strawberry.field(description=ORIGINS)
    daily_token_budget: int | None = strawberry.field(description=BUDGET)
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null for never.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, to the minute.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked; null while it was not.")

    @classmethod
    def from_row(cls, row: models.ApiKey) -> "ApiKey":
        """Translate."""
        return cls(
            id=global_id("ApiKey", row.id),
            row=row,
            name=row.name,
            prefix=row.prefix,
            scopes=[ApiKeyScope(scope) for scope in row.scopes],
            allowed_origins=row.allowed_origins,
            daily_token_budget=row.daily_token_budget,
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
        )

    @strawberry.field(description=BOT)
    async def bot(self, info: Info) -> Annotated["Bot", strawberry.lazy("kyrochat.graphql.bots")] | None:
        """Load."""
        row = await info.context.bots.load(self.row.bot_id) if self.row.bot_id else None
        return cast("Bot", translate(row, info.context)) if row else None

    @strawberry.field(description="The tokens that its answers have taken today, in UTC.")
    async def tokens_used_today(self, info: Info) -> int:
        """Load."""
        return min(await info.context.tokens_used_today.load(self.row.id), MAX_INT)

    @strawberry.field(description="The workspace that it reaches.")
    async def workspace(self, info: Info) -> Workspace:
        """Load."""
        row = await info.context.workspaces.load(self.row.workspace_id)
        assert row is not None
        return Workspace.from_row(row, info.context)

    @strawberry.field(description="Who made it. It acts in this person's name, with the role of the moment.")
    async def created_by(self, info: Info) -> Person:
        """Load."""
        row = await info.context.people.load(self.row.created_by)
        if row is None:  # the account was deleted in this very moment, and the key with it
            raise NotFound("person")
        return Person.from_row(row)


@translate.register
def _(row: models.ApiKey, context: Context) -> ApiKey:
    del context
    return ApiKey.from_row(row)


@strawberry.type(description="A new key.")
class ApiKeyCreated:
    """The answer of `createApiKey`."""

    api_key: ApiKey = strawberry.field(description="The key.")
    secret: str = strawberry.field(
        description="Send it as `Authorization: Bearer …`. It is shown only now: not even this server keeps it."
    )


@strawberry.input(description="A new API key.")
class CreateApiKeyInput:
    """For `createApiKey`."""

    name: str = strawberry.field(description=NAME)
    scopes: list[ApiKeyScope] = strawberry.field(description=SCOPES)
    workspace_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="The workspace that it shall reach; your personal one by default."
    )
    bot_id: strawberry.ID | None = strawberry.field(default=UNSET, description=BOT)
    allowed_origins: list[str] | None = strawberry.field(default=UNSET, description=ORIGINS)
    expires_at: datetime | None = strawberry.field(
        default=UNSET, description="When it shall end by itself; by default never."
    )
    expires_in_days: int | None = strawberry.field(default=UNSET, description="The same, counted from now.")
    daily_token_budget: int | None = strawberry.field(default=UNSET, description=BUDGET)


CreateApiKeyResult = Annotated[
    ApiKeyCreated | InvalidInputProblem | NotFoundProblem | QuotaExceededProblem,
    strawberry.union("CreateApiKeyResult", description="The key with its secret, or why there is none."),
]
RevokeApiKeyResult = Annotated[
    ApiKey | NotFoundProblem,
    strawberry.union("RevokeApiKeyResult", description="The key, revoked, or there is no such key."),
]


@strawberry.type
class ApiKeyQuery:
    """Queries on API keys."""

    @strawberry.field(description="The API keys of a workspace that you own, newest first; those that are over, too.")
    async def api_keys(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        workspace_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The workspace; your personal one by default.")
        ] = UNSET,
    ) -> Connection[ApiKey]:
        """Page."""
        keys, viewer = info.context.services.api_keys, info.context.viewer
        workspace = optional_row_id("Workspace", workspace_id)
        page = await keys.page(viewer, workspace, page_request(first, after, last, before))
        return connection(page, ApiKey.from_row, lambda: keys.count(viewer, workspace))


@strawberry.type
class ApiKeyMutation:
    """Mutations on API keys."""

    @strawberry.mutation(description="Make an API key for a workspace that you own. Keys themselves cannot.")
    async def create_api_key(
        self, info: Info, input: Annotated[CreateApiKeyInput, strawberry.argument(description="The key.")]
    ) -> CreateApiKeyResult:
        """Create."""
        key, secret = await info.context.services.api_keys.create(
            info.context.viewer,
            optional_row_id("Workspace", input.workspace_id),
            NewKey(
                name=input.name,
                scopes=frozenset(input.scopes),
                bot_id=optional_row_id("Bot", input.bot_id),
                allowed_origins=input.allowed_origins or (),
                expires_at=input.expires_at or None,
                expires_in_days=if_given(input.expires_in_days),
                daily_token_budget=if_given(input.daily_token_budget),
            ),
        )
        return ApiKeyCreated(api_key=ApiKey.from_row(key), secret=secret)

    @strawberry.mutation(
        description="Revoke an API key: it stops working at once, on open sockets too. Owners may, and who made it."
    )
    async def revoke_api_key(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of an API key.")]
    ) -> RevokeApiKeyResult:
        """Revoke."""
        keys = info.context.services.api_keys
        return ApiKey.from_row(await keys.revoke(info.context.viewer, row_id("ApiKey", id)))
