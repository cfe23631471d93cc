"""The ingestion of all of a bot's documents in the schema."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from kyrochat.db.states import DocumentStatus
from kyrochat.documents.reading import IngestionState
from kyrochat.graphql.bots import Bot, BotId
from kyrochat.graphql.context import Info
from kyrochat.graphql.documents import Document
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.problems import NotFoundProblem


@strawberry.type(description="How far a bot's documents are.")
class IngestionProgress:
    """From reading.IngestionState."""

    total: int = strawberry.field(description="How many documents it has.")
    queued: int = strawberry.field(
        description="Those that wait: for a worker, for their next attempt, or for `resumeIngestion`."
    )
    processing: int = strawberry.field(description="Those that are being read.")
    ready: int = strawberry.field(description="Those that can be found.")
    failed: int = strawberry.field(description="Those that could not be read; each says why.")
    is_paused: bool = strawberry.field(description="Whether `pauseIngestion` holds them back.")
    is_idle: bool = strawberry.field(description="Whether nothing will happen by itself.")
    documents: list[Document] = strawberry.field(description="Up to 10 that are being read, the oldest first.")

    @classmethod
    def from_state(cls, state: IngestionState) -> "IngestionProgress":
        """Translate."""
        counts = state.counts
        return cls(
            total=sum(counts.values()),
            queued=counts.get(DocumentStatus.QUEUED, 0),
            processing=counts.get(DocumentStatus.PROCESSING, 0),
            ready=counts.get(DocumentStatus.READY, 0),
            failed=counts.get(DocumentStatus.FAILED, 0),
            is_paused=state.is_paused,
            is_idle=state.is_idle,
            documents=[Document.from_row(row) for row in state.processing],
        )


PauseIngestionResult = Annotated[
    Bot | NotFoundProblem,
    strawberry.union("PauseIngestionResult", description="The bot, or there is no such bot."),
]
ResumeIngestionResult = Annotated[
    Bot | NotFoundProblem,
    strawberry.union("ResumeIngestionResult", description="The bot, or there is no such bot."),
]


@strawberry.type
class IngestionQuery:
    """Queries on ingestion."""

    @strawberry.field(description="How far a bot's documents are, or null.")
    async def ingestion(self, info: Info, bot_id: BotId) -> IngestionProgress | None:
        """Look."""
        documents, viewer = info.context.services.documents, info.context.viewer
        bot = await info.context.bots.load(row_id("Bot", bot_id))
        return None if bot is None else IngestionProgress.from_state(await documents.ingestion(viewer, bot.id))


@strawberry.type
class IngestionMutation:
    """Mutations on ingestion."""

    @strawberry.mutation(
        description="Hold a bot's documents back: new ones wait, those that are being read stop at their next step and "
        "begin again later, without an attempt charged."
    )
    async def pause_ingestion(self, info: Info, id: BotId) -> PauseIngestionResult:
        """Pause."""
        row = await info.context.services.documents.pause(info.context.viewer, row_id("Bot", id))
        return Bot.from_row(row, info.context)

    @strawberry.mutation(description="Go on after `pauseIngestion`.")
    async def resume_ingestion(self, info: Info, id: BotId) -> ResumeIngestionResult:
        """Resume."""
        row = await info.context.services.documents.resume(info.context.viewer, row_id("Bot", id))
        return Bot.from_row(row, info.context)


@strawberry.type
class IngestionSubscription:
    """Subscriptions to ingestion."""

    @strawberry.subscription(
        description="How far all of a bot's documents are: now, then at every change. "
        "With `untilIdle` it ends when nothing more will happen by itself."
    )
    async def ingestion_progress(
        self,
        info: Info,
        bot_id: BotId,
        until_idle: Annotated[bool, strawberry.argument(description="Whether to end when all is done.")] = False,
    ) -> AsyncGenerator[IngestionProgress, None]:
        """Follow."""
        documents = info.context.services.documents
        states = documents.ingestion_progress(info.context.viewer, row_id("Bot", bot_id), until_idle=until_idle)
        async for state in states:
            yield IngestionProgress.from_state(state)
