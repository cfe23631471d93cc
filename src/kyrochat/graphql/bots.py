"""Bots in the schema."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry import UNSET

from kyrochat.accounts.permissions import Act
from kyrochat.bots.tools import may_see
from kyrochat.chat.feedback import Wanted
from kyrochat.db import models
from kyrochat.graphql.bot_inputs import (
    AGENTIC,
    ALPHA,
    DESCRIPTION,
    FOLLOW_UPS,
    GREETING,
    INSTRUCTIONS,
    LANGUAGE,
    MIN_SCORE,
    NAME,
    SUGGESTIONS,
    TEMPERATURE,
    TOP_K,
    CreateBotInput,
    UpdateBotInput,
    bot_fields,
)
from kyrochat.graphql.bot_tools import BotTool
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import DocumentStatus, Language
from kyrochat.graphql.feedback import Feedback, RatingFilter, Since
from kyrochat.graphql.filters import Filter, document_filter
from kyrochat.graphql.ids import global_id, optional_row_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem
from kyrochat.graphql.translate import translate
from kyrochat.graphql.workspaces import Workspace

if TYPE_CHECKING:
    from kyrochat.graphql.chat import Conversation
    from kyrochat.graphql.documents import Document

Status = Annotated[DocumentStatus | None, strawberry.argument(description="Only documents that stand there.")]
BotId = Annotated[strawberry.ID, strawberry.argument(description="The id of a bot.")]


@strawberry.type(description="A persona that answers from its own documents.")
class Bot(Node):
    """From models.Bot."""

    row: strawberry.Private[models.Bot]
    name: str = strawberry.field(description=NAME)
    description: str = strawberry.field(description=DESCRIPTION)
    instructions: str = strawberry.field(description=INSTRUCTIONS)
    model: str = strawberry.field(description="The model that writes its answers.")
    temperature: float = strawberry.field(description=TEMPERATURE)
    top_k: int = strawberry.field(description=TOP_K)
    min_score: float = strawberry.field(description=MIN_SCORE)
    alpha: float | None = strawberry.field(description=ALPHA)
    agentic: bool = strawberry.field(description=AGENTIC)
    greeting: str = strawberry.field(description=GREETING)
    suggested_questions: list[str] = strawberry.field(description=SUGGESTIONS)
    suggests_follow_ups: bool = strawberry.field(description=FOLLOW_UPS)
    language: Language = strawberry.field(description=LANGUAGE)
    ingestion_paused: bool = strawberry.field(description="Whether `pauseIngestion` holds its documents back.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @classmethod
    def from_row(cls, row: models.Bot, context: Context) -> "Bot":
        """Translate."""
        return cls(
            id=global_id("Bot", row.id),
            row=row,
            name=row.name,
            description=row.description,
            instructions=row.instructions,
            model=row.model or context.services.answer_model,
            temperature=row.temperature,
            top_k=row.top_k,
            min_score=row.min_score,
            alpha=row.alpha,
            agentic=row.agentic,
            greeting=row.greeting,
            suggested_questions=row.suggested_questions,
            suggests_follow_ups=row.suggests_follow_ups,
            language=Language(row.language),
            ingestion_paused=row.ingestion_paused,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="The workspace that owns it.")
    async def workspace(self, info: Info) -> Workspace:
        """Load."""
        row = await info.context.workspaces.load(self.row.workspace_id)
        assert row is not None
        return Workspace.from_row(row, info.context)

    @strawberry.field(description="Its documents, newest first.")
    async def documents(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        status: Status = UNSET,
        filter: Filter = UNSET,
    ) -> Connection[Annotated["Document", strawberry.lazy("kyrochat.graphql.documents")]]:
        """Page."""
        documents, viewer = info.context.services.documents, info.context.viewer
        wanted = document_filter(filter)
        page = await documents.page(
            viewer, self.row.id, page_request(first, after, last, before), status or None, wanted
        )
        return connection(
            page,
            lambda row: translate(row, info.context),
            lambda: documents.count(viewer, self.row.id, status or None, wanted),
        )

    @strawberry.field(description="Your conversations with it, newest first.")
    async def conversations(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Annotated["Conversation", strawberry.lazy("kyrochat.graphql.chat")]]:
        """Page."""
        chat, viewer = info.context.services.chat, info.context.viewer
        page = await chat.conversation_page(viewer, self.row.id, page_request(first, after, last, before))
        return connection(
            page, lambda row: translate(row, info.context), lambda: chat.conversation_count(viewer, self.row.id)
        )

    @strawberry.field(
        description="What its model may call while it answers, in the order in which it was given; null unless you own "
        "the workspace."
    )
    async def tools(self, info: Info) -> list[BotTool] | None:
        """Load."""
        if not may_see(info.context.viewer, self.row.workspace_id):
            return None
        return [BotTool.from_row(row) for row in await info.context.tools_of.load(self.row.id)]

    @strawberry.field(description="What users think of its answers, newest first; null unless you may change the bot.")
    async def feedback(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        rating: RatingFilter = UNSET,
        since: Since = UNSET,
    ) -> Connection[Feedback] | None:
        """Page."""
        service, viewer = info.context.services.feedback, info.context.viewer
        if not Act.READ_FEEDBACK.allows(viewer.workspaces[self.row.workspace_id]):
            return None
        wanted = Wanted(rating or None, since or None)
        page = await service.page(viewer, self.row, page_request(first, after, last, before), wanted)
        return connection(page, Feedback.from_service, lambda: service.count(viewer, self.row, wanted))


@translate.register
def _(row: models.Bot, context: Context) -> Bot:
    return Bot.from_row(row, context)


@strawberry.type(description="A bot that is gone, with its documents and conversations.")
class DeletedBot:
    """The answer of `deleteBot`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


CreateBotResult = Annotated[
    Bot | InvalidInputProblem | ConflictProblem | NotFoundProblem,
    strawberry.union("CreateBotResult", description="The bot, or why there is none."),
]
UpdateBotResult = Annotated[
    Bot | InvalidInputProblem | ConflictProblem | NotFoundProblem,
    strawberry.union("UpdateBotResult", description="The bot as it is now, or why it was not changed."),
]
DeleteBotResult = Annotated[
    DeletedBot | NotFoundProblem,
    strawberry.union("DeleteBotResult", description="The bot is gone, or was not there."),
]


@strawberry.type
class BotQuery:
    """Queries on bots."""

    @strawberry.field(description="A bot of yours, or null.")
    async def bot(self, info: Info, id: BotId) -> Bot | None:
        """Load."""
        row = await info.context.bots.load(row_id("Bot", id))
        return Bot.from_row(row, info.context) if row else None

    @strawberry.field(description="The bots of a workspace, or of all of yours; newest first.")
    async def bots(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        workspace_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only the bots of this workspace.")
        ] = UNSET,
    ) -> Connection[Bot]:
        """Page."""
        bots, viewer = info.context.services.bots, info.context.viewer
        workspace = optional_row_id("Workspace", workspace_id)
        page = await bots.page(viewer, workspace, page_request(first, after, last, before))
        return connection(page, lambda row: Bot.from_row(row, info.context), lambda: bots.count(viewer, workspace))


@strawberry.type
class BotMutation:
    """Mutations on bots."""

    @strawberry.mutation(description="Create a bot.")
    async def create_bot(
        self, info: Info, input: Annotated[CreateBotInput, strawberry.argument(description="The bot.")]
    ) -> CreateBotResult:
        """Create."""
        workspace = optional_row_id("Workspace", input.workspace_id)
        row = await info.context.services.bots.create(info.context.viewer, workspace, bot_fields(input))
        return Bot.from_row(row, info.context)

    @strawberry.mutation(description="Change a bot.")
    async def update_bot(
        self, info: Info, input: Annotated[UpdateBotInput, strawberry.argument(description="What to change.")]
    ) -> UpdateBotResult:
        """Change."""
        row = await info.context.services.bots.update(info.context.viewer, row_id("Bot", input.id), bot_fields(input))
        return Bot.from_row(row, info.context)

    @strawberry.mutation(
        description="Delete a bot with its documents and conversations. They cannot be found from now on; "
        "their content is removed by a job."
    )
    async def delete_bot(self, info: Info, id: BotId) -> DeleteBotResult:
        """Delete."""
        await info.context.services.bots.delete(info.context.viewer, row_id("Bot", id))
        return DeletedBot(id=id)
