"""What two evaluations differ in, in the schema."""

from typing import Annotated

import strawberry

from kyrochat.errors import InvalidInput
from kyrochat.evaluation import comparison
from kyrochat.evaluation.scoring import NDCG
from kyrochat.graphql.context import Info
from kyrochat.graphql.evaluations import EvaluatedQuestion, EvaluationId
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.question_sets import EvaluationQuestion

MAX_CHANGES = 100


@strawberry.type(description="A figure of two evaluations.")
class FigureChange:
    """From comparison.Change."""

    name: str = strawberry.field(description="Its name, such as ndcg@10 or latency_p95_ms.")
    before: float = strawberry.field(description="What it is in the first one.")
    after: float = strawberry.field(description="What it is in the second one.")
    difference: float = strawberry.field(description="`after` less `before`.")
    p_value: float | None = strawberry.field(
        description="How often chance alone makes as great a difference, by the paired randomization test; null for "
        "what no question has of its own."
    )
    is_significant: bool = strawberry.field(description="Whether `pValue` is below 0.05: hardly chance.")
    is_worse: bool = strawberry.field(description="Whether the second one is worse in this.")

    @classmethod
    def from_value(cls, value: comparison.Change) -> "FigureChange":
        """Translate."""
        return cls(
            name=value.name,
            before=value.before,
            after=value.after,
            difference=value.difference,
            p_value=value.p_value,
            is_significant=value.is_significant,
            is_worse=value.drop > 0,
        )


@strawberry.type(description="A question whose nDCG@10 differs.")
class QuestionChange:
    """From comparison.QuestionChange."""

    question: EvaluationQuestion = strawberry.field(description="The question.")
    difference: float = strawberry.field(description="The second one's nDCG@10 less the first one's.")
    before: EvaluatedQuestion = strawberry.field(description="What became of it in the first one.")
    after: EvaluatedQuestion = strawberry.field(description="What became of it in the second one.")

    @classmethod
    def from_value(cls, value: comparison.QuestionChange) -> "QuestionChange":
        """Translate."""
        return cls(
            question=EvaluationQuestion.from_value(value.after.question),
            difference=value.differences[NDCG],
            before=EvaluatedQuestion.from_value(value.before),
            after=EvaluatedQuestion.from_value(value.after),
        )


@strawberry.type(description="Two evaluations side by side, over the questions that both have asked.")
class EvaluationComparison:
    """From comparison.Comparison."""

    value: strawberry.Private[comparison.Comparison]
    question_count: int = strawberry.field(description="How many questions that can be answered both have asked.")
    unmatched_count: int = strawberry.field(description="How many questions only one of them has asked.")
    changed_count: int = strawberry.field(description="How many questions differ in nDCG@10.")
    figures: list[FigureChange] = strawberry.field(description="The figures of both, over the questions of both.")

    @strawberry.field(description="Questions that differ in nDCG@10: what has got worse most first.")
    def changes(
        self,
        first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")] = 20,
        improved: Annotated[bool, strawberry.argument(description="What has got better most first, instead.")] = False,
    ) -> list[QuestionChange]:
        """Choose."""
        if not 1 <= first <= MAX_CHANGES:
            raise InvalidInput.at("first", f"`first` is 1 to {MAX_CHANGES}.")
        changed = self.value.changed[::-1] if improved else self.value.changed
        return [QuestionChange.from_value(each) for each in changed[:first]]


@strawberry.type
class EvaluationComparisonQuery:
    """Queries on two evaluations."""

    @strawberry.field(
        description="What changed from one evaluation to another; null unless both are of bots of yours. One that runs "
        "counts as far as it is."
    )
    async def compare_evaluations(
        self,
        info: Info,
        earlier_id: EvaluationId,
        later_id: Annotated[strawberry.ID, strawberry.argument(description="The id of another evaluation.")],
    ) -> EvaluationComparison | None:
        """Compare."""
        found = await info.context.services.evaluations.compare(
            info.context.viewer, row_id("Evaluation", earlier_id), row_id("Evaluation", later_id)
        )
        if found is None:
            return None
        return EvaluationComparison(
            value=found,
            question_count=len(found.questions),
            unmatched_count=found.unmatched,
            changed_count=len(found.changed),
            figures=[FigureChange.from_value(each) for each in found.figures],
        )
