"""Search among a bot's vectors in PostgreSQL: exact and through its index, against numpy in the same run.

python -m benchmarks.vectors [VECTORS...]

The vectors have 768 dimensions of which 48 matter, around a thousand topics, as those of embedding models have it.
Questions are near some of them.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import text

from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.engine import Database, open_database
from kyrochat.db.migrate import migrate
from kyrochat.db.models import Bot, VectorSet
from kyrochat.retrieval.postgres_vectors import PostgresVectors
from kyrochat.retrieval.vector_indexing import VectorIndexing
from tests.factories import make_bot, make_viewer
from tests.retrieval.dense.vectors import add_set, add_vectors

DIMENSIONS, INNER, TOPICS = 768, 48, 1_000
QUESTIONS, LIMIT = 60, 100
SIZES = (10_000, 20_000, 50_000)
STORED_AT_ONCE = 5_000


def made(count: int, seed: int, projection: Any, middles: Any) -> Any:
    draw = np.random.default_rng(seed)
    inner = middles[draw.integers(0, len(middles), count)] + 0.6 * draw.standard_normal((count, INNER))
    vectors = inner @ projection + 0.02 * draw.standard_normal((count, DIMENSIONS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


async def timed(ask: Callable[[Sequence[float]], Awaitable[list[tuple[UUID, float]]]], questions: Any) -> Any:
    """Return milliseconds and ids of each answer."""
    times, found = [], []
    for question in questions:
        values = question.tolist()
        started = time.perf_counter()
        hits = await ask(values)
        times.append((time.perf_counter() - started) * 1000)
        found.append([chunk_id for chunk_id, _ in hits])
    return times, found


def row(name: str, times: Sequence[float], recalls: Sequence[float] = ()) -> str:
    p95 = statistics.quantiles(times, n=20)[-1]
    told = "".join(f" | {recall:.3f}" for recall in recalls)
    return f"| {name} | {statistics.median(times):.1f} | {p95:.1f}{told or ' | |'} |"


def recall(found: list[list[UUID]], true: list[list[UUID]], depth: int) -> float:
    return statistics.fmean(len(set(a[:depth]) & set(b[:depth])) / depth for a, b in zip(found, true, strict=True))


async def measure(database: Database, indexing: VectorIndexing, bot: Bot, count: int) -> None:
    draw = np.random.default_rng(7)
    projection = draw.standard_normal((INNER, DIMENSIONS)) / DIMENSIONS**0.5
    middles = draw.standard_normal((TOPICS, INNER))
    vectors, questions = made(count, 1, projection, middles), made(QUESTIONS, 2, projection, middles)
    target: VectorSet = await add_set(database, bot, dimensions=DIMENSIONS)
    ids: list[UUID] = []
    for start in range(0, count, STORED_AT_ONCE):
        ids += await add_vectors(database, bot, target, vectors[start : start + STORED_AT_ONCE].tolist(), documents=50)
    index = PostgresVectors(database)

    async def in_numpy(question: Sequence[float]) -> list[tuple[UUID, float]]:
        scores = vectors @ np.asarray(question)
        best = np.argpartition(-scores, LIMIT)[:LIMIT]
        return [(ids[place], float(scores[place])) for place in best[np.argsort(-scores[best])]]

    async def ask(question: Sequence[float]) -> list[tuple[UUID, float]]:
        return await index.search(target, question, LIMIT)

    numpy_times, true = await timed(in_numpy, questions)
    await timed(ask, questions[:5])
    exact_times, exact = await timed(ask, questions)
    started = time.perf_counter()
    assert await indexing.see_to(target)
    build_s = time.perf_counter() - started
    await timed(ask, questions[:5])
    times, found = await timed(ask, questions)
    print(row(f"{count:,}: numpy", numpy_times))
    print(row(f"{count:,}: exact", exact_times, (recall(exact, true, 10), recall(exact, true, LIMIT))))
    name = f"{count:,}: HNSW, built in {build_s:.0f} s"
    print(row(name, times, (recall(found, true, 10), recall(found, true, LIMIT))))


async def main(sizes: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="kyrochat-bench-") as directory:
        server = EmbeddedPostgres.start(Path(directory))
        try:
            await migrate(server.urls.owner)
            database = open_database(server.urls.app)
            indexing = VectorIndexing(server.urls.owner, database, exact_limit=0)
            viewer = await make_viewer(database)
            print(f"| vectors | p50 ms | p95 ms | recall@10 | recall@{LIMIT} |\n| --- | --- | --- | --- | --- |")
            for number, count in enumerate(sizes):
                await measure(database, indexing, await make_bot(database, viewer, f"Bot {number}"), count)
            async with database.begin() as session:
                size = "SELECT pg_size_pretty(pg_table_size('chunk_vec')), pg_size_pretty(pg_indexes_size('chunk_vec'))"
                print("Table and indexes:", *(await (await session.connection()).execute(text(size))).one())
            await database.close()
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main([int(size) for size in sys.argv[1:]] or SIZES))
