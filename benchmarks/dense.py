"""What a model of embeddings adds: `python -m benchmarks.dense --embeddings URL COLLECTION...`.

Each collection is put into the product with vectors in PostgreSQL, made by a server with OpenAI's `/v1/embeddings`,
such as `benchmarks/embedding_server.py`, and asked by each leg alone and by both with several weights.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.collection import Collection, load
from benchmarks.evaluation import Measures, measure
from benchmarks.gates import FUSED
from benchmarks.product import add, ask, product
from kyrochat.evaluation.significance import p_value
from kyrochat.retrieval.metrics import ndcg
from kyrochat.retrieval.search_settings import Leg, SearchSettings

PASSAGES = 100
ALPHAS = (0.3, 0.4, 0.5, 0.6)
LEGS = {
    "lexical": SearchSettings(top_k=PASSAGES, legs=(Leg.LEXICAL,)),
    "dense": SearchSettings(top_k=PASSAGES, legs=(Leg.DENSE,)),
    **{f"fused {alpha}": SearchSettings(top_k=PASSAGES, alpha=alpha) for alpha in ALPHAS},
}


async def evaluate(
    collections: Sequence[Collection], embeddings: str, kept: Path | None, most: int, console: Console
) -> dict[str, dict[str, dict[str, float]]]:
    """Return nDCG@10, and for fused ones the p-values against both legs, by collection and way of searching."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    async with product(kept, embeddings) as (runtime, viewer):
        for collection in collections:
            loaded = await add(runtime, viewer, collection)
            console.print(f"{collection.name}: {loaded.passages:,} passages in {loaded.seconds:.0f} s", highlight=False)
            queries = collection.some(most)
            gains: dict[str, list[float]] = {}
            rows: dict[str, dict[str, float]] = {}
            for name, settings in LEGS.items():
                rankings = await ask(runtime, loaded, queries, settings)
                gains[name] = [ndcg(rankings.documents[key], collection.gains[key]) for key, _ in queries]
                measures = measure(collection, rankings)
                rows[name] = _row(measures, gains[name], gains)
                console.print(f"  {name}: nDCG@10 {measures.ndcg_10:.4f}", highlight=False)
            found[collection.name] = rows
    return found


def _row(measures: Measures, own: Sequence[float], gains: dict[str, list[float]]) -> dict[str, float]:
    row = {"ndcg_10": measures.ndcg_10, "recall_10": measures.recall_10, "questions": float(len(own))}
    for leg in ("lexical", "dense"):
        if leg in gains and gains[leg] is not own:
            row[f"p_{leg}"] = p_value([after - before for after, before in zip(own, gains[leg], strict=True)])
    return row


def table(found: dict[str, dict[str, dict[str, float]]]) -> Table:
    """Lay nDCG@10 out; the last row has the means."""
    shown = Table(title="nDCG@10", title_justify="left")
    for name in ("collection", "questions", *LEGS, "floor", "stretch"):
        shown.add_column(name, justify="left" if name == "collection" else "right", no_wrap=True)
    for collection, rows in found.items():
        gate = FUSED.get(collection)
        shown.add_row(
            collection,
            f"{rows['lexical']['questions']:.0f}",
            *(f"{rows[name]['ndcg_10']:.3f}" for name in LEGS),
            f"{gate.floor:.3f}" if gate else "",
            f"{gate.stretch:.3f}" if gate and gate.stretch else "",
        )
    shown.add_row("mean", "", *(f"{mean(rows[name]['ndcg_10'] for rows in found.values()):.3f}" for name in LEGS))
    return shown


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code is 1 when the best mix does not beat both legs somewhere."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dense", description=__doc__)
    parser.add_argument("collections", nargs="+", metavar="COLLECTION")
    parser.add_argument("--embeddings", required=True, metavar="URL", help="a server with /v1/embeddings")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the database there, and use what is in it")
    parser.add_argument("--most", type=int, default=0, metavar="N", help="ask about N questions of each only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    collections = [load(argument) for argument in options.collections]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(evaluate(collections, options.embeddings, options.keep, options.most, console))
    console.print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    weak = [
        name
        for name, rows in found.items()
        if max(rows[way]["ndcg_10"] for way in LEGS if way.startswith("fused"))
        <= max(rows["lexical"]["ndcg_10"], rows["dense"]["ndcg_10"])
    ]
    if weak:
        console.print(f"No mix beats both legs on: {', '.join(weak)}.", highlight=False)
    return 1 if weak else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
