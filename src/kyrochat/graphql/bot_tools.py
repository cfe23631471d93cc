"""HTTP tools of bots in the schema."""

from datetime import datetime
from typing import Annotated, NewType, cast

import strawberry
from strawberry import UNSET

from kyrochat.bots.tool_schema import MAX_PARAMETERS
from kyrochat.bots.tools import MAX_HEADERS, MAX_TIMEOUT_S, MAX_TOOLS, NewTool
from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import ToolMethod
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotConfiguredProblem, NotFoundProblem
from kyrochat.graphql.translate import translate

DEFAULT_TIMEOUT_S = 10

JsonSchema = NewType("JsonSchema", object)
JSON_SCHEMA_SCALAR = strawberry.scalar(
    name="JSONSchema",
    description='A JSON Schema of an object: {"type": "object", "properties": {"order": {"type": "string", '
    '"description": "Its number."}}, "required": ["order"]}. '
    f"Up to {MAX_PARAMETERS} properties of the types string (with `enum`), integer, number, boolean, and arrays of "
    "these.",
)


NAME = "What the model calls it by: up to 64 letters, digits and _, no digit first."
DESCRIPTION = "Tells the model what it is for, and what it brings: up to 1,000 characters."
URL = "Where it is, of a host that the operator lets tools call. `{order}` in its path stands for a parameter."
PARAMETERS = "What the model may give it."
TIMEOUT = f"How long to wait for its answer: 1 to {MAX_TIMEOUT_S}."
ENABLED = "Whether the model may use it."


@strawberry.type(description="Something that a bot's model may call while it answers. Only owners see it.")
class BotTool(Node):
    """From models.BotTool."""

    name: str = strawberry.field(description=NAME)
    description: str = strawberry.field(description=DESCRIPTION)
    method: ToolMethod = strawberry.field(description="How it is called.")
    url: str = strawberry.field(description=URL)
    parameters: JsonSchema = strawberry.field(description=PARAMETERS)
    header_names: list[str] = strawberry.field(
        description="The headers that are sent with each call; their values are secrets, and nobody sees them again."
    )
    timeout_seconds: int = strawberry.field(description=TIMEOUT)
    enabled: bool = strawberry.field(description=ENABLED)
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @classmethod
    def from_row(cls, row: models.BotTool) -> "BotTool":
        """Translate."""
        return cls(
            id=global_id("BotTool", row.id),
            name=row.name,
            description=row.description,
            method=ToolMethod(row.method),
            url=row.url,
            parameters=cast(JsonSchema, row.parameters),
            header_names=row.header_names,
            timeout_seconds=row.timeout_seconds,
            enabled=row.enabled,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


@translate.register
def _(row: models.BotTool, context: Context) -> BotTool:
    del context
    return BotTool.from_row(row)


@strawberry.type(description="A tool that is gone, with its secrets.")
class RemovedBotTool:
    """The answer of `removeBotTool`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.input(description="A header that is sent with each call of a tool.")
class ToolHeaderInput:
    """For `SetBotToolInput`."""

    name: str = strawberry.field(description="Such as `Authorization`.")
    value: str = strawberry.field(description="Its value. It is stored sealed, and shown to nobody again.")


@strawberry.input(description="A tool, as it shall be from now on.")
class SetBotToolInput:
    """For `setBotTool`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot.")
    name: str = strawberry.field(description=NAME)
    description: str = strawberry.field(description=DESCRIPTION)
    url: str = strawberry.field(description=URL)
    parameters: JsonSchema = strawberry.field(description=PARAMETERS)
    method: ToolMethod = strawberry.field(default=ToolMethod.GET, description="How it is called.")
    headers: list[ToolHeaderInput] | None = strawberry.field(
        default=UNSET,
        description=f"Up to {MAX_HEADERS}. Left out, a tool of this name keeps those that it has, for the same server; "
        "an empty list takes them away.",
    )
    timeout_seconds: int = strawberry.field(default=DEFAULT_TIMEOUT_S, description=TIMEOUT)
    enabled: bool = strawberry.field(default=True, description=ENABLED)


SetBotToolResult = Annotated[
    BotTool | InvalidInputProblem | ConflictProblem | NotFoundProblem | NotConfiguredProblem,
    strawberry.union("SetBotToolResult", description="The tool as it is now, or why it is not."),
]
RemoveBotToolResult = Annotated[
    RemovedBotTool | NotFoundProblem,
    strawberry.union("RemoveBotToolResult", description="The tool is gone, or was not there."),
]


@strawberry.type
class BotToolMutation:
    """Mutations on tools."""

    @strawberry.mutation(
        description="Give a bot a tool that its model may call while it answers, or change the one of that name. "
        f"A bot has up to {MAX_TOOLS}. Off unless the server's operator has named hosts for it."
    )
    async def set_bot_tool(
        self, info: Info, input: Annotated[SetBotToolInput, strawberry.argument(description="The tool.")]
    ) -> SetBotToolResult:
        """Set."""
        headers = None
        if input.headers is not UNSET and input.headers is not None:
            headers = [(header.name, header.value) for header in input.headers]
        new = NewTool(
            input.name,
            input.description,
            input.method,
            input.url,
            input.parameters,
            headers,
            input.timeout_seconds,
            input.enabled,
        )
        row = await info.context.services.bot_tools.set(info.context.viewer, row_id("Bot", input.bot_id), new)
        return BotTool.from_row(row)

    @strawberry.mutation(description="Take a tool from its bot, with the secrets that it was called with.")
    async def remove_bot_tool(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of a tool.")]
    ) -> RemoveBotToolResult:
        """Remove."""
        await info.context.services.bot_tools.remove(info.context.viewer, row_id("BotTool", id))
        return RemovedBotTool(id=id)
