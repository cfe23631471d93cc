"""Puts the best of what a search has found in order anew, where there is a reranker, and in time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kyrochat.retrieval.legs import off, run
from kyrochat.retrieval.ports import Reranker
from kyrochat.retrieval.ranking import Ranked
from kyrochat.retrieval.search import Search
from kyrochat.retrieval.search_settings import Leg
from kyrochat.retrieval.trace import LegReport

BUDGET_S = 2.0
LEAST_RERANKED = 30


@dataclass(frozen=True, slots=True)
class Reranking:
    """A reranker, and how long a search waits for it."""

    reranker: Reranker
    budget_s: float = BUDGET_S

    async def rerank(self, search: Search, ranked: Sequence[Ranked]) -> tuple[list[Ranked], LegReport]:
        """Return the candidates in their new order, or as they were, and what the leg did.

        The first ones, 30 or twice `top_k`, get the reranker's scores, and the others stay behind them.
        """
        if Leg.RERANK not in search.used.legs:
            return list(ranked), off(Leg.RERANK, "The search's settings leave it out.")
        if not ranked:
            return [], off(Leg.RERANK, "Nothing was found.")
        count = max(LEAST_RERANKED, 2 * search.used.top_k)
        first, rest = ranked[:count], ranked[count:]
        work = self.reranker.rerank(search.question, [_shown(each) for each in first])
        outcome = await run(Leg.RERANK, work, budget_s=self.budget_s, scheme=self.reranker.scheme)
        if outcome.value is None:
            return list(ranked), outcome.report
        better = [
            replace(each, passage=replace(each.passage, score=score), reranked=score)
            for each, score in zip(first, outcome.value, strict=True)
        ]
        better.sort(key=lambda each: -each.passage.score)
        least = better[-1].passage.score
        behind = [replace(each, passage=replace(each.passage, score=each.passage.score * least)) for each in rest]
        return [*better, *behind], outcome.counting(len(first)).report


def _shown(ranked: Ranked) -> str:
    passage = ranked.passage
    return "\n".join(part for part in (passage.document_title, passage.heading, passage.text) if part)
