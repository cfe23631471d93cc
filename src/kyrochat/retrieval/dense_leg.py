"""The leg of a search that goes by meaning: the question's embedding, and the nearest ones of the bot's chunks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from kyrochat.db.models import VectorSet
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.dense import DENSE_CANDIDATES, DenseRetrieval, NoVectors
from kyrochat.retrieval.embedding_cache import EmbeddingCache
from kyrochat.retrieval.legs import Outcome, off, run
from kyrochat.retrieval.ports import Vector
from kyrochat.retrieval.search import Search
from kyrochat.retrieval.search_settings import Leg


@dataclass(frozen=True, slots=True)
class DenseHits:
    """What the leg found, (chunk id, score), best first, and how to ask for more scores of that kind."""

    hits: Sequence[tuple[UUID, float]]
    target: VectorSet
    vector: Vector
    embedding_was_known: bool = False


@dataclass(frozen=True, slots=True)
class DenseLeg:
    """Searches the vectors of a bot's chunks."""

    dense: DenseRetrieval | None
    embeddings: EmbeddingCache

    async def run(self, search: Search) -> Outcome[DenseHits]:
        """Return what it found within its time, or why it did not."""
        if self.dense is None:
            return Outcome(off(Leg.DENSE, "This server makes no embeddings."))
        if Leg.DENSE not in search.used.legs:
            return Outcome(off(Leg.DENSE, "The search's settings leave it out."))
        serving: list[VectorSet] = []  # also of a leg that is late or down it is told which vectors it was to search
        try:
            outcome = await run(Leg.DENSE, self._find(self.dense, search, serving), budget_s=self.dense.budget_s)
        except NoVectors as reason:
            return Outcome(off(Leg.DENSE, str(reason)))
        report = replace(outcome.report, scheme=serving[0].scheme if serving else None)
        if outcome.value is not None:
            report = replace(report, candidates=len(outcome.value.hits), cached=outcome.value.embedding_was_known)
        return replace(outcome, report=report)

    async def _find(self, dense: DenseRetrieval, search: Search, serving: list[VectorSet]) -> DenseHits:
        target, embedder = await dense.serving(search.bot.workspace_id, search.bot.id)
        serving.append(target)
        vector, known = await self.embeddings.of(embedder, search.bot.workspace_id, search.question)
        hits = await dense.nearest(target, vector, DENSE_CANDIDATES, search.documents)
        return DenseHits(hits, target, vector, known)

    async def scores(self, found: DenseHits, chunk_ids: Collection[UUID]) -> dict[UUID, float]:
        """Return the scores of chunks that the leg did not list, where its store can tell them.

        Call it outside of transactions.
        """
        listed = {chunk_id for chunk_id, _ in found.hits}
        unlisted = [chunk_id for chunk_id in chunk_ids if chunk_id not in listed]
        if self.dense is None or not unlisted:
            return {}
        try:
            return await self.dense.scores(found.target, found.vector, unlisted)
        except ProviderUnavailable:
            return {}  # as good as before, and the leg has done its part
