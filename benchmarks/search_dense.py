"""Vectors for the benchmark of search: stored and searched by the product, and compared by numpy for the truth."""

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from benchmarks.processor_clock import ProcessorClock
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, VectorSet
from kyrochat.db.states import VectorSetState, VectorStore
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.postgres_vectors import PostgresVectors
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.retrieval.vector_search import EXACT_LIMIT, is_indexed
from kyrochat.retrieval.vector_stores import dimensions_of

DIMENSIONS = 768
# Embeddings of texts lie near a surface of far fewer dimensions, in clumps: so do these.
LATENT, CLUMPS, SPREAD = 48, 400, 0.9
STORED_AT_ONCE = 500


@dataclass
class DenseStock:
    """The vectors of a big bot, as numpy has them, and the sets of both bots."""

    database: Database
    vectors: Any
    ids: list[UUID]
    big: VectorSet
    small: VectorSet
    small_count: int

    @classmethod
    async def make(
        cls, database: Database, owner_url: str, big: Bot, ids: list[UUID], small: Bot, small_ids: list[UUID]
    ) -> "DenseStock":
        """Store a vector for each chunk, and build the index where the product would."""
        vectors = _clumped(len(ids), seed=3)
        of_big, of_small = await _set(database, big), await _set(database, small)
        for target, chunk_ids in ((of_big, ids), (of_small, small_ids)):
            store = PostgresVectors(database)
            for start in range(0, len(chunk_ids), STORED_AT_ONCE):
                some = chunk_ids[start : start + STORED_AT_ONCE]
                pairs = list(zip(some, vectors[start : start + len(some)].tolist(), strict=True))
                await store.upsert(target, UUID(int=0), 1, pairs)
            await VectorIndexing(owner_url, database).see_to(target)
        return cls(database, vectors, ids, of_big, of_small, len(small_ids))

    async def measure(
        self, questions: int, best: int
    ) -> AsyncGenerator[tuple[str, int, list[float], list[float], float | None], None]:
        """Yield for each way its name, how many chunks there were, its times in ms and its recall."""
        import numpy as np

        asked = _clumped(questions, seed=4)
        truth, in_memory, busy_in_memory = [], [], []
        for question in asked:
            began_at, busy_before = time.perf_counter(), time.process_time()
            scores = self.vectors @ question
            top = np.argpartition(-scores, best)[:best]
            in_memory.append((time.perf_counter() - began_at) * 1e3)
            busy_in_memory.append((time.process_time() - busy_before) * 1e3)
            truth.append({self.ids[place] for place in top})
        times, busy, found = await self._search(self.big, asked, best)
        shares = [len(mine & wanted) / best for mine, wanted in zip(found, truth, strict=True)]
        way = "meaning, HNSW" if len(self.ids) > EXACT_LIMIT else "meaning, all compared"
        async with self.database.begin([self.big.workspace_id]) as session:
            assert await is_indexed(session, self.big.id or 0) == (len(self.ids) > EXACT_LIMIT)
        yield way, len(self.ids), times, busy, sum(shares) / len(shares)
        times, busy, _ = await self._search(self.small, asked, best)
        yield "meaning, a bot of 1 %", self.small_count, times, busy, None
        yield "numpy, in memory", len(self.ids), in_memory, busy_in_memory, None

    async def _search(
        self, target: VectorSet, asked: Any, best: int
    ) -> tuple[list[float], list[float], list[set[UUID]]]:
        store, times, busy, found = PostgresVectors(self.database), [], [], []
        clock = await ProcessorClock.of(self.database)
        for question in asked:
            vector = question.tolist()
            began_at, busy_before = time.perf_counter(), clock.read()
            hits = await store.search(target, vector, 50)
            times.append((time.perf_counter() - began_at) * 1e3)
            busy.append(clock.read() - busy_before)
            found.append({chunk_id for chunk_id, _ in hits[:best]})
        return times, busy, found


async def _set(database: Database, bot: Bot) -> VectorSet:
    async with database.begin([bot.workspace_id]) as session:
        await rows.add_set(session, bot.id, bot.workspace_id, VectorStore.PGVECTOR, "synthetic", VectorSetState.SERVING)
        target = await rows.serving(session, bot.id)
    assert target is not None
    return await dimensions_of(database, target, DIMENSIONS)


def _clumped(count: int, seed: int) -> Any:
    """Return `count` unit vectors, in clumps that are the same for every seed."""
    import numpy as np

    fixed, chance = np.random.default_rng(1), np.random.default_rng(seed)
    centres = fixed.normal(size=(CLUMPS, LATENT))
    spread_out = fixed.normal(size=(LATENT, DIMENSIONS)).astype(np.float32)
    places = centres[chance.integers(CLUMPS, size=count)] + SPREAD * chance.normal(size=(count, LATENT))
    vectors = places.astype(np.float32) @ spread_out
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
