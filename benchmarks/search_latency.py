"""How long a search takes, by the size of a bot: `python -m benchmarks.search_latency [CHUNKS...] [--plot FILE]`.

For each size two bots share the tables: a big one, and one with a hundredth of its chunks. Each is searched by words
with a scan of all its rows; the big one, if it is large enough, also by its rare terms; and by meaning, with all its
vectors compared, and through an HNSW index above the limit of that. Beside it, in the same run, on the same chunks and
questions, all in memory: `bm25s`, and the vectors compared by numpy. Their answers are what recall is measured by.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks.processor_clock import ProcessorClock
from benchmarks.search_data import Texts, word
from benchmarks.search_dense import DenseStock
from benchmarks.search_store import encode_anew, fill, finish, make_bot, multiply
from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.engine import Database, open_database
from kyrochat.db.migrate import migrate
from kyrochat.db.models import Bot
from kyrochat.retrieval.encodings import ENCODERS
from kyrochat.retrieval.lexical_leg import LexicalLeg
from kyrochat.retrieval.lexicons import Lexicons
from kyrochat.retrieval.search import Search
from kyrochat.retrieval.search_settings import SearchSettings

SIZES = (10_000, 30_000, 100_000)
WRITTEN_AT_MOST = 100_000
"""Larger bots hold these chunks several times over: a scan does not mind, and writing them all would take an hour."""

DENSE_AT_MOST = 30_000
"""By default: storing and indexing a hundred thousand vectors takes minutes."""

QUESTIONS = 60
BEST = 10
# The gates: of a search by words at p95, by chunks, and of its scan at p50. They hold for time that the processor is
# busy: on a machine that others work on, the rest says more of them.
P95_MS = {10_000: 25.0, 100_000: 250.0}
SCAN_US_PER_CHUNK = 1.5
HNSW_RECALL = 0.95


@dataclass
class Figures:
    """One way to search one bot; times in milliseconds. `busy` is what the processor needed, whoever else had it."""

    way: str
    chunks: int
    times: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    recall: float | None = None

    def at(self, share: float) -> float:
        """Return the time that this share of the searches took at most."""
        return _at(self.times, share)

    def line(self) -> str:
        """Return it as a row."""
        recall = "" if self.recall is None else f"   recall@{BEST} {self.recall:.3f}"
        half, most = _at(self.busy, 0.5), _at(self.busy, 0.95)
        return (
            f"  {self.way:<28}{self.at(0.5):9.1f}{self.at(0.95):9.1f}{half:9.1f}{most:9.1f}"
            f"{half * 1e3 / self.chunks:9.2f}{recall}"
        )


def _at(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(int(share * len(times)), len(times) - 1)]


@dataclass(frozen=True)
class Searches:
    """A bot, and its questions as words."""

    database: Database
    bot: Bot
    questions: Sequence[str]
    chunks: int

    async def by_words(self, way: str, *, by_rare_terms: bool) -> tuple[Figures, list[list[float]]]:
        """Search as the product does, proximity and passages included; also return the scores of the best."""
        leg = LexicalLeg(Lexicons(), by_rare_terms=by_rare_terms)
        used = SearchSettings(top_k=BEST).resolved(self.bot)
        figures, scores, clock = Figures(way, self.chunks), [], await ProcessorClock.of(self.database)
        for question in [*self.questions[:3], *self.questions]:  # the first ones warm up
            began_at, busy_before = time.perf_counter(), clock.read()
            async with self.database.begin([self.bot.workspace_id]) as session:
                found = await leg.search(session, Search(self.bot, question, used))
            figures.times.append((time.perf_counter() - began_at) * 1e3)
            figures.busy.append(clock.read() - busy_before)
            scores.append(sorted((p.score - found.bonuses.get(p.chunk_id, 0.0) for p in found.passages), reverse=True))
        del figures.times[:3], figures.busy[:3]
        return figures, scores[3:]


def recall_of(found: Sequence[Sequence[float]], exact: Sequence[Sequence[float]]) -> float:
    """Return the share of the best that was found, by score: of several that are equal, any will do."""
    shares = []
    for mine, best in zip(found, exact, strict=True):
        wanted = best[:BEST]
        if wanted:
            shares.append(sum(score >= wanted[-1] * (1 - 1e-4) for score in mine[: len(wanted)]) / len(wanted))
    return sum(shares) / max(len(shares), 1)


def bm25s(texts: Texts, chunks: int, questions: Sequence[str]) -> Figures:
    """Search the same chunks with bm25s, in memory."""
    import bm25s as library

    model: Any = library.BM25(method="lucene", k1=1.2, b=0.75)
    model.index([[word(rank) for rank in ranks] for ranks in texts.chunks(chunks)], show_progress=False)
    figures = Figures("bm25s, in memory", chunks)
    for question in questions:
        began_at, busy_before = time.perf_counter(), time.thread_time()
        model.retrieve([question.split()], k=50, show_progress=False)
        figures.times.append((time.perf_counter() - began_at) * 1e3)
        figures.busy.append((time.thread_time() - busy_before) * 1e3)
    return figures


async def measure(
    database: Database,
    owner: Database,
    owner_url: str,
    size: int,
    made: dict[int, tuple[Bot, list[UUID]]],
    dense_at_most: int,
) -> list[Figures]:
    """Fill the tables and return the figures of one size; `made` are the bots of other sizes, with their chunks."""
    texts = Texts()
    results: list[Figures] = []

    def keep(figures: Figures) -> None:
        results.append(figures)
        _say(figures.line())

    written = min(size, WRITTEN_AT_MOST)
    is_new = written not in made
    if is_new:
        bot = await make_bot(database, f"big {size}")
        began_at = time.perf_counter()
        made[written] = bot, await fill(database, bot, texts, 0, written)
        _say(f"  written, the texts made on the way: {written / (time.perf_counter() - began_at):,.0f} chunks/s")
    big, ids = made.pop(written) if size > written else made[written]
    small = await make_bot(database, f"small {size}")
    small_ids = await fill(database, small, texts, 0, max(size // 100, 100))
    questions = [" ".join(word(rank) for rank in texts.question(number, written)) for number in range(QUESTIONS)]
    if size <= dense_at_most:
        stock = await DenseStock.make(database, owner_url, big, ids, small, small_ids)
        async for way, count, times, busy, recall in stock.measure(QUESTIONS, BEST):
            keep(Figures(way, count, times, busy, recall))
        del stock
    is_large = size > ENCODERS.salted_above
    if is_large and is_new:
        began_at = time.perf_counter()
        await encode_anew(database, big)
        _say(f"  encoded anew, with terms listed: {written / (time.perf_counter() - began_at):,.0f} chunks/s")
    if size > written:
        await multiply(owner, big, size // written)
    for bot in (big, small):
        await finish(database, bot)
    of_small = Searches(database, small, questions, len(small_ids))
    keep((await of_small.by_words("words, a bot of 1 %", by_rare_terms=True))[0])
    of_big = Searches(database, big, questions, size)
    scan, exact = await of_big.by_words("words, scan", by_rare_terms=False)
    keep(scan)
    if is_large:
        figures, scores = await of_big.by_words("words, by rare terms", by_rare_terms=True)
        figures.recall = recall_of(scores, exact)
        keep(figures)
    if size <= WRITTEN_AT_MOST:
        keep(await asyncio.to_thread(bm25s, texts, size, questions))
    return results


async def main(
    sizes: Sequence[int] = SIZES,
    plot: Path | None = None,
    directory: Path | None = None,
    dense_at_most: int = DENSE_AT_MOST,
) -> bool:
    """Print the figures, draw them if asked to, and say whether the gates are held."""
    found: list[Figures] = []
    made: dict[int, tuple[Bot, list[UUID]]] = {}
    with tempfile.TemporaryDirectory(prefix="kyrochat-bench-", dir=directory) as place:
        server = EmbeddedPostgres.start(Path(place))
        try:
            await migrate(server.urls.owner)
            # One connection each, so that it is known which server process works.
            database = open_database(server.urls.worker, pool_size=1)
            owner = open_database(server.urls.owner, pool_size=1)
            for size in sizes:
                _say(f"{size:,} chunks; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
                _say(f"  {'':<28}{'p50 ms':>9}{'p95':>9}{'busy p50':>9}{'p95':>9}{'us/chunk':>9}")
                found += await measure(database, owner, server.urls.owner, size, made, dense_at_most)
            await database.close()
            await owner.close()
        finally:
            server.stop()
    if plot is not None:
        from benchmarks.search_chart import draw

        draw([(each.way, each.chunks, _at(each.busy, 0.5), _at(each.busy, 0.95)) for each in found], plot)
    missed = _missed(found)
    for line in missed:
        _say(f"  MISSED: {line} (load {os.getloadavg()[0]:.1f})")
    return not missed


def _missed(found: Sequence[Figures]) -> list[str]:
    lines = []
    for each in found:
        busy = _at(each.busy, 0.95)
        limit = P95_MS.get(each.chunks) if each.way == "words, scan" else None
        if limit is not None and busy > limit:
            lines.append(f"{each.way}, {each.chunks:,} chunks: p95 {busy:.0f} ms busy, the gate is {limit:.0f}")
        if (
            each.way == "words, scan"
            and each.chunks >= 100_000
            and _at(each.busy, 0.5) * 1e3 / each.chunks > SCAN_US_PER_CHUNK
        ):
            lines.append(f"{each.way}, {each.chunks:,} chunks: more than {SCAN_US_PER_CHUNK} us a chunk")
        if "HNSW" in each.way and each.recall is not None and each.recall < HNSW_RECALL:
            lines.append(f"{each.way}: recall {each.recall:.3f}, the gate is {HNSW_RECALL}")
    return lines


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--directory", type=Path, help="where the database is made; a million chunks take 8 GB")
    parser.add_argument("--dense-at-most", type=int, default=DENSE_AT_MOST, help="larger bots are not given vectors")
    given = parser.parse_args()
    sys.exit(not asyncio.run(main(given.sizes, given.plot, given.directory, given.dense_at_most)))
