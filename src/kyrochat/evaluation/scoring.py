"""Figures of rankings: of one question, and of all questions of a run."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from kyrochat.evaluation.needs import ranking
from kyrochat.evaluation.types import Answered, Found, Question, Scored
from kyrochat.retrieval.metrics import mean, ndcg, recall, reciprocal_rank

HIT_1, HIT_5, RECALL_5, RECALL_10 = "hit@1", "hit@5", "recall@5", "recall@10"
MRR, NDCG = "mrr", "ndcg@10"
ABSTAINED, EMPTY, UNANSWERABLE, DEGRADED = "abstained", "empty", "unanswerable", "degraded"
LATENCY_P50, LATENCY_P95 = "latency_p50_ms", "latency_p95_ms"

MEASURES = (NDCG, MRR, RECALL_5, RECALL_10, HIT_1, HIT_5)
"""What each question that can be answered is measured by, from 0 to 1, 1 is best."""

SHARES = (ABSTAINED, EMPTY, UNANSWERABLE, DEGRADED)
LATENCIES = (LATENCY_P50, LATENCY_P95)
FIGURES = (*MEASURES, *SHARES, *LATENCIES)
"""All figures of a run, in the order in which they are shown."""

MRR_DEPTH = 1_000


def score(question: Question, answered: Answered) -> Scored:
    """Compare what a search has found with what the question was to find."""
    places = ranking(question, answered.hits)
    measures = _measures(question, places) if question.is_answerable else {}
    return Scored(question, places, measures, answered.milliseconds, answered.degraded)


def _measures(question: Question, places: Sequence[Found]) -> dict[str, float]:
    # A passage that meets several needs at once takes a place for each; one that meets none has a name of its own.
    order = [need for place, found in enumerate(places) for need in (found.met or (f"\x00{place}",))]
    gains = dict.fromkeys(question.needs, 1.0)
    return {
        NDCG: ndcg(order, gains, 10),
        MRR: reciprocal_rank(order, gains, MRR_DEPTH),
        RECALL_5: recall(order, gains, 5),
        RECALL_10: recall(order, gains, 10),
        HIT_1: float(bool(recall(order, gains, 1))),
        HIT_5: float(bool(recall(order, gains, 5))),
    }


def summary(results: Iterable[Scored]) -> dict[str, float]:
    """Return the figures of a run.

    The means of `MEASURES` are over the questions that can be answered, as is `empty`: the share of which the search
    found nothing at all. `unanswerable` is the share of questions that cannot be answered, and `abstained` the share
    of these for which nothing was found, as it should be. `degraded` is the share of searches that went on without a
    leg. What there is nothing to count of is left out.
    """
    scored = list(results)
    answerable = [each for each in scored if each.question.is_answerable]
    others = [each for each in scored if not each.question.is_answerable]
    figures: dict[str, float] = {}
    if answerable:
        figures |= {name: mean([each.measures[name] for each in answerable]) for name in MEASURES}
        figures[EMPTY] = mean([float(not each.ranking) for each in answerable])
    if scored:
        figures[UNANSWERABLE] = len(others) / len(scored)
        figures |= latencies([each.milliseconds for each in scored])
    told = [float(each.degraded) for each in scored if each.degraded is not None]
    if told:
        figures[DEGRADED] = mean(told)
    if others:
        figures[ABSTAINED] = mean([float(not each.ranking) for each in others])
    return figures


def latencies(milliseconds: Sequence[float]) -> Mapping[str, float]:
    """Return the middle and the 95th percentile, by nearest rank."""
    ordered = sorted(milliseconds)
    return {LATENCY_P50: percentile(ordered, 0.5), LATENCY_P95: percentile(ordered, 0.95)}


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least that share of the ascending values does not exceed."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
