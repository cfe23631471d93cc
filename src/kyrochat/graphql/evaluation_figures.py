"""Figures of evaluations in the schema."""

from collections.abc import Mapping
from typing import Any

import strawberry

from kyrochat.evaluation import scoring

NDCG = "Normalised discounted cumulative gain of the first 10: how near the top they are."
MRR = "1 / the place of the first of them."
RECALL_5 = "The share of them among the first 5."
RECALL_10 = "The share of them among the first 10."
HIT_1 = "Whether the first place is one of them."
HIT_5 = "Whether one of them is among the first 5."


def _measures(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ndcg_10": figures.get(scoring.NDCG),
        "mrr": figures.get(scoring.MRR),
        "recall_5": figures.get(scoring.RECALL_5),
        "recall_10": figures.get(scoring.RECALL_10),
        "hit_1": figures.get(scoring.HIT_1),
        "hit_5": figures.get(scoring.HIT_5),
    }


@strawberry.type(description="How well a question found what it should: from 0 to 1, 1 is best.")
class QuestionFigures:
    """From scoring.MEASURES."""

    ndcg_10: float = strawberry.field(name="ndcg10", description=NDCG)
    mrr: float = strawberry.field(description=MRR)
    recall_5: float = strawberry.field(name="recall5", description=RECALL_5)
    recall_10: float = strawberry.field(name="recall10", description=RECALL_10)
    hit_1: float = strawberry.field(name="hit1", description=HIT_1)
    hit_5: float = strawberry.field(name="hit5", description=HIT_5)

    @classmethod
    def from_measures(cls, measures: Mapping[str, Any]) -> "QuestionFigures":
        """Translate."""
        return cls(**_measures(measures))


@strawberry.type(
    description="What came of an evaluation. Measures are means over the questions that can be answered, from 0 to 1; "
    "what there was nothing to count of is null."
)
class EvaluationFigures:
    """From scoring.FIGURES."""

    ndcg_10: float | None = strawberry.field(name="ndcg10", description=NDCG)
    mrr: float | None = strawberry.field(description=MRR)
    recall_5: float | None = strawberry.field(name="recall5", description=RECALL_5)
    recall_10: float | None = strawberry.field(name="recall10", description=RECALL_10)
    hit_1: float | None = strawberry.field(name="hit1", description=HIT_1)
    hit_5: float | None = strawberry.field(name="hit5", description=HIT_5)
    empty: float | None = strawberry.field(
        description="The share of questions that can be answered for which nothing at all was found."
    )
    unanswerable: float | None = strawberry.field(description="The share of questions that cannot be answered.")
    abstained: float | None = strawberry.field(
        description="The share of these for which nothing was found, as it should be."
    )
    degraded: float | None = strawberry.field(
        description="The share of searches that went on without a leg that was late or down."
    )
    latency_p50_ms: float | None = strawberry.field(description="The median time of a search, in milliseconds.")
    latency_p95_ms: float | None = strawberry.field(description="The time that 95 % of searches took at most.")

    @classmethod
    def from_figures(cls, figures: Mapping[str, Any]) -> "EvaluationFigures":
        """Translate."""
        others = (*scoring.SHARES, *scoring.LATENCIES)
        return cls(**_measures(figures), **{name: figures.get(name) for name in others})
