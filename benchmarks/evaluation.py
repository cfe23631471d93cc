"""How good search is: `make eval`, or `python -m benchmarks.evaluation [COLLECTION...]`.

A COLLECTION is a folder as `benchmarks.collection` reads it, or the name of one that the project has; all of these
without any. Its documents become a bot by the product's own ingestion, in a PostgreSQL of its own, and its questions go
to the retriever that answers them. Beside it, in the same process, bm25s. Each document counts once, at the place of
its first passage. The exit code is 1 when nDCG@10 is below the floor of a collection.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.bm25s_baseline import ask_bm25s
from benchmarks.chart import draw
from benchmarks.collection import Collection, contained, load
from benchmarks.gates import LEXICAL, Gate
from benchmarks.product import Loaded, Rankings, add, ask, product
from kyrochat.retrieval.metrics import mean, ndcg, recall, reciprocal_rank


@dataclass(frozen=True, slots=True)
class Measures:
    """Means over the judged questions of a collection, and the middle of how long one took."""

    ndcg_10: float
    recall_10: float
    recall_100: float
    mrr_10: float
    median_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One collection: what was measured beside what was to be reached."""

    collection: str
    questions: int
    documents: int
    passages: int
    ingested_s: float
    ours: Measures
    bm25s: Measures
    gate: Gate | None

    @property
    def is_below(self) -> bool:
        """Whether the floor was missed. What counts is what the table shows."""
        return self.gate is not None and round(self.ours.ndcg_10, 3) < self.gate.floor

    @property
    def verdict(self) -> str:
        """The last cell of its line."""
        if self.gate is None:
            return "no gate"
        if self.is_below:
            return "BELOW"
        stretch = self.gate.stretch
        return "stretch" if stretch is not None and round(self.ours.ndcg_10, 3) >= stretch else "met"


def measure(collection: Collection, rankings: Rankings) -> Measures:
    """Compare the rankings of the questions that were asked with the judgements."""
    pairs = [(ranking, collection.gains[key]) for key, ranking in rankings.documents.items()]
    return Measures(
        ndcg_10=mean([ndcg(ranking, gains, 10) for ranking, gains in pairs]),
        recall_10=mean([recall(ranking, gains, 10) for ranking, gains in pairs]),
        recall_100=mean([recall(ranking, gains, 100) for ranking, gains in pairs]),
        mrr_10=mean([reciprocal_rank(ranking, gains, 10) for ranking, gains in pairs]),
        median_ms=1000 * median(rankings.seconds),
    )


def row(collection: Collection, loaded: Loaded, rankings: Rankings) -> Row:
    """Measure both, and put them beside the gate."""
    return Row(
        collection.name,
        len(rankings.documents),
        len(collection.documents),
        loaded.passages,
        loaded.seconds,
        measure(collection, rankings),
        measure(collection, ask_bm25s(collection, list(rankings.documents))),
        # A floor is for all questions: some may be harder than the rest.
        LEXICAL.get(collection.name) if len(rankings.documents) == len(collection.judged) else None,
    )


async def evaluate(
    collections: Sequence[Collection], console: Console, kept: Path | None = None, most: int = 0, *, bulk: bool = False
) -> list[Row]:
    """Put each collection into the product, and ask it."""
    rows = []
    async with product(kept) as (runtime, viewer):
        for collection in collections:
            console.print(f"{collection.name}: adding {len(collection.documents):,} documents ...", highlight=False)
            loaded = await add(runtime, viewer, collection, bulk=bulk)
            if loaded.unread:
                console.print(f"{collection.name}: {loaded.unread:,} documents hold no text", highlight=False)
            queries = collection.some(most)
            console.print(
                f"{collection.name}: {loaded.passages:,} passages in {loaded.seconds:.0f} s; "
                f"asking {len(queries):,} questions ...",
                highlight=False,
            )
            rows.append(row(collection, loaded, await ask(runtime, loaded, queries)))
    return rows


def table(rows: Sequence[Row]) -> Table:
    """Lay the rows out: KyroChat's figures, with those of bm25s after a slash."""
    shown = Table(title="KyroChat / bm25s", title_justify="left")
    shown.add_column("collection")
    for name in ("questions", "nDCG@10", "recall@10", "recall@100", "MRR@10", "median ms", "floor", "stretch"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("gate")
    for each in rows:
        ours, theirs = each.ours, each.bm25s
        shown.add_row(
            each.collection,
            f"{each.questions:,}",
            *(f"{getattr(ours, name):.3f} / {getattr(theirs, name):.3f}" for name in ("ndcg_10", "recall_10")),
            *(f"{getattr(ours, name):.3f} / {getattr(theirs, name):.3f}" for name in ("recall_100", "mrr_10")),
            f"{ours.median_ms:.1f} / {theirs.median_ms:.1f}",
            f"{each.gate.floor:.3f}" if each.gate else "",
            f"{each.gate.stretch:.3f}" if each.gate and each.gate.stretch else "",
            each.verdict,
            style="red" if each.is_below else None,
        )
    return shown


def main(arguments: Sequence[str]) -> int:
    """Measure, print, draw; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("collections", nargs="*", metavar="COLLECTION")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the table as a picture: .svg or .png")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the database there, and use what is in it")
    parser.add_argument("--bulk", action="store_true", help="store documents without the ingestion's jobs: quicker")
    parser.add_argument(
        "--most", type=int, default=0, metavar="N", help="ask about N questions of each only; no gate then"
    )
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        collections = [load(argument) for argument in options.collections or contained()]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(evaluate(collections, console, options.keep, options.most, bulk=options.bulk))
    console.print(table(rows))
    if options.plot:
        draw(rows, options.plot)
        console.print(f"Picture: {options.plot}", highlight=False)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in rows], indent=2) + "\n", encoding="utf-8")
    missed = [each.collection for each in rows if each.is_below]
    if missed:
        console.print(f"Below the floor: {', '.join(missed)}.", highlight=False)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
