"""Evaluations in the schema."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import UNSET

from kyrochat.db import models
from kyrochat.errors import NotFound
from kyrochat.evaluation.stored import scored_of, used_of
from kyrochat.evaluation.types import Scored
from kyrochat.graphql.bots import Bot, BotId
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.documents import Document
from kyrochat.graphql.enums import EvaluationStatus
from kyrochat.graphql.evaluation_figures import EvaluationFigures, QuestionFigures
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.question_sets import EvaluationQuestion, QuestionSet
from kyrochat.graphql.searches import SearchSettings
from kyrochat.graphql.translate import translate

EvaluationId = Annotated[strawberry.ID, strawberry.argument(description="The id of an evaluation.")]


@strawberry.type(description="A place in what was found: a document, or a passage where quotes are looked for.")
class EvaluatedPlace:
    """From types.Found."""

    document_id_: strawberry.Private[UUID]
    rank: int = strawberry.field(description="The place, from 1.")
    score: float = strawberry.field(description="The score of its passage, 0 to 1.")
    met: list[str] = strawberry.field(description="What should be found, and was found here first.")

    @strawberry.field(description="The document; null when it was deleted since.")
    async def document(self, info: Info) -> Document | None:
        """Load."""
        row = await info.context.documents.load(self.document_id_)
        return Document.from_row(row) if row else None


@strawberry.type(description="What became of one question.")
class EvaluatedQuestion:
    """From types.Scored."""

    question: EvaluationQuestion = strawberry.field(description="The question.")
    figures: QuestionFigures | None = strawberry.field(
        description="How well it found what it should; null where nothing should be found."
    )
    milliseconds: float = strawberry.field(description="How long the search took.")
    degraded: bool = strawberry.field(description="Whether the search went on without a leg that was late or down.")
    missed: list[str] = strawberry.field(description="What should be found, and was not.")
    ranking: list[EvaluatedPlace] = strawberry.field(description="What was found, best first.")

    @classmethod
    def from_value(cls, scored: Scored) -> "EvaluatedQuestion":
        """Translate."""
        return cls(
            question=EvaluationQuestion.from_value(scored.question),
            figures=QuestionFigures.from_measures(scored.measures) if scored.measures else None,
            milliseconds=scored.milliseconds,
            degraded=bool(scored.degraded),
            missed=list(scored.missed),
            ranking=[
                EvaluatedPlace(document_id_=UUID(found.document), rank=place, score=found.score, met=list(found.met))
                for place, found in enumerate(scored.ranking, start=1)
            ],
        )


@strawberry.type(description="A bot that is asked all questions of a set, in the background.")
class Evaluation(Node):
    """From models.Evaluation."""

    row: strawberry.Private[models.Evaluation]
    name: str = strawberry.field(description="How it is called.")
    status: EvaluationStatus = strawberry.field(description="Where it stands.")
    failure: str | None = strawberry.field(description="What failed, safe to show.")
    question_count: int = strawberry.field(description="How many questions there are.")
    done_count: int = strawberry.field(description="How many have been asked.")
    unknown_documents: list[str] = strawberry.field(
        description="Up to 20 documents that questions name, and the bot does not have."
    )
    figures: EvaluationFigures | None = strawberry.field(description="What came of it; null until it is COMPLETED.")
    settings: SearchSettings | None = strawberry.field(description="How it searches; null until it has begun.")
    created_at: datetime = strawberry.field(description="When it was started.")
    completed_at: datetime | None = strawberry.field(description="When it was COMPLETED.")

    @classmethod
    def from_row(cls, row: models.Evaluation) -> "Evaluation":
        """Translate."""
        used = used_of(row.used)
        return cls(
            id=global_id("Evaluation", row.id),
            row=row,
            name=row.name,
            status=row.status,
            failure=row.failure,
            question_count=row.question_count,
            done_count=row.done_count,
            unknown_documents=list(row.unknown),
            figures=EvaluationFigures.from_figures(row.figures) if row.completed_at else None,
            settings=SearchSettings.from_value(used) if used else None,
            created_at=row.created_at,
            completed_at=row.completed_at,
        )

    @strawberry.field(description="The bot that is asked.")
    async def bot(self, info: Info) -> Bot:
        """Load."""
        return Bot.from_row(await info.context.bot(self.row.bot_id), info.context)

    @strawberry.field(description="The set of its questions.")
    async def question_set(self, info: Info) -> QuestionSet:
        """Load."""
        row = await info.context.question_sets.load(self.row.question_set_id)
        if row is None:  # deleted in this very moment, or of another bot than the key's
            raise NotFound("question set")
        return QuestionSet.from_row(row)

    @strawberry.field(description="What became of its questions, the last asked first.")
    async def results(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[EvaluatedQuestion]:
        """Page."""
        evaluations, viewer = info.context.services.evaluations, info.context.viewer
        page = await evaluations.results_of(viewer, self.row, page_request(first, after, last, before))
        return connection(
            page,
            lambda pair: EvaluatedQuestion.from_value(scored_of(*pair)),
            lambda: evaluations.count_results(viewer, self.row),
            key=lambda pair: pair[0].id,
        )


@translate.register
def _(row: models.Evaluation, context: Context) -> Evaluation:
    del context
    return Evaluation.from_row(row)


@strawberry.type
class EvaluationQuery:
    """Queries on evaluations."""

    @strawberry.field(description="An evaluation of a bot of yours, or null.")
    async def evaluation(self, info: Info, id: EvaluationId) -> Evaluation | None:
        """Load."""
        row = await info.context.evaluations.load(row_id("Evaluation", id))
        return Evaluation.from_row(row) if row else None

    @strawberry.field(description="The evaluations of a bot, newest first; none if it is not yours.")
    async def evaluations(
        self,
        info: Info,
        bot_id: BotId,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Connection[Evaluation]:
        """Page."""
        evaluations, viewer, bot = info.context.services.evaluations, info.context.viewer, row_id("Bot", bot_id)
        page = await evaluations.of_bot(viewer, bot, page_request(first, after, last, before))
        return connection(page, Evaluation.from_row, lambda: evaluations.count(viewer, bot))


@strawberry.type
class EvaluationSubscription:
    """Subscriptions to evaluations."""

    @strawberry.subscription(description="An evaluation now, then after each step, until it is over or deleted.")
    async def evaluation_progress(self, info: Info, id: EvaluationId) -> AsyncGenerator[Evaluation, None]:
        """Follow."""
        evaluations = info.context.services.evaluations
        async for row in evaluations.progress(info.context.viewer, row_id("Evaluation", id)):
            yield Evaluation.from_row(row)
