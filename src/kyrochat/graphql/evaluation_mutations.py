"""What can be done with evaluations, in the schema."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import SearchLeg
from kyrochat.graphql.evaluations import Evaluation, EvaluationId
from kyrochat.graphql.ids import optional_row_id, row_id
from kyrochat.graphql.optional import if_given, tuple_if_given
from kyrochat.graphql.problems import InvalidInputProblem, NotFoundProblem, QuotaExceededProblem, RateLimitedProblem
from kyrochat.retrieval import search_settings


@strawberry.input(description="How to search; what is left out is as the bot has it.")
class EvaluationSettingsInput:
    """For search_settings.SearchSettings."""

    top_k: int | None = strawberry.field(default=UNSET, description="How many passages a search returns: 1 to 50.")
    min_score: float | None = strawberry.field(default=UNSET, description="Leave out what scores less: 0 to 1.")
    alpha: float | None = strawberry.field(default=UNSET, description="The weight of the leg by meaning: 0 to 1.")
    legs: list[SearchLeg] | None = strawberry.field(default=UNSET, description="Only these legs.")

    def value(self) -> search_settings.SearchSettings:
        """Return it for the service."""
        return search_settings.SearchSettings(
            top_k=if_given(self.top_k),
            min_score=if_given(self.min_score),
            alpha=if_given(self.alpha),
            legs=tuple_if_given(self.legs),
        )


@strawberry.input(description="A bot that shall be asked all questions of a set.")
class StartEvaluationInput:
    """For `startEvaluation`."""

    question_set_id: strawberry.ID = strawberry.field(description="The set of questions.")
    bot_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="The bot, of the same workspace; by default the one that the set was made for."
    )
    name: str | None = strawberry.field(
        default=UNSET, description="How to call it, up to 100 characters; by default as the set is called."
    )
    settings: EvaluationSettingsInput | None = strawberry.field(default=UNSET, description="How to search.")


@strawberry.type(description="An evaluation that is gone.")
class DeletedEvaluation:
    """The answer of `deleteEvaluation`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


StartEvaluationResult = Annotated[
    Evaluation | InvalidInputProblem | NotFoundProblem | QuotaExceededProblem | RateLimitedProblem,
    strawberry.union("StartEvaluationResult", description="The evaluation, queued, or why there is none."),
]
DeleteEvaluationResult = Annotated[
    DeletedEvaluation | NotFoundProblem,
    strawberry.union("DeleteEvaluationResult", description="The evaluation is gone, or was not there."),
]


@strawberry.type
class EvaluationMutation:
    """Mutations on evaluations."""

    @strawberry.mutation(
        description="Have a bot asked all questions of a set, by the path of search and answers, and measured by what "
        "it finds. No model answers. Follow it with `evaluationProgress`; `compareEvaluations` compares two."
    )
    async def start_evaluation(
        self, info: Info, input: Annotated[StartEvaluationInput, strawberry.argument(description="The evaluation.")]
    ) -> StartEvaluationResult:
        """Start."""
        settings = input.settings.value() if input.settings else search_settings.SearchSettings()
        row = await info.context.services.evaluations.start(
            info.context.viewer,
            row_id("QuestionSet", input.question_set_id),
            optional_row_id("Bot", input.bot_id),
            input.name or "",
            settings,
        )
        return Evaluation.from_row(row)

    @strawberry.mutation(description="Delete an evaluation; one that runs ends.")
    async def delete_evaluation(self, info: Info, id: EvaluationId) -> DeleteEvaluationResult:
        """Delete."""
        await info.context.services.evaluations.delete(info.context.viewer, row_id("Evaluation", id))
        return DeletedEvaluation(id=id)
