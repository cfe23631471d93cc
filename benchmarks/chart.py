"""The picture of an evaluation: a pair of bars for each collection, with lines where its gate is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.evaluation import Row

OURS, THEIRS, FLOOR, STRETCH = "#2f5d8a", "#c9ced6", "#b3261e", "#2e7d32"
BAR_HEIGHT = 0.38
MAX_LABEL_CHARS = 40


def draw(rows: Sequence["Row"], path: Path) -> None:
    """Write the picture; the suffix says whether it is SVG or PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.62 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        for offset, value, colour in (
            (-BAR_HEIGHT / 2, row.ours.ndcg_10, OURS),
            (BAR_HEIGHT / 2, row.bm25s.ndcg_10, THEIRS),
        ):
            axes.barh(place + offset, value, BAR_HEIGHT, color=colour)
            # Behind the line that may stand there.
            stretch = (row.gate.stretch or 0.0) if row.gate is not None and offset < 0 else 0.0
            axes.text(max(value, stretch) + 0.006, place + offset, f"{value:.3f}", va="center", fontsize=8)
        if row.gate is not None:
            axes.vlines(row.gate.floor, place - BAR_HEIGHT, place, color=FLOOR, linewidth=1.5)
            if row.gate.stretch is not None:
                axes.vlines(row.gate.stretch, place - BAR_HEIGHT, place, color=STRETCH, linewidth=1.5)
    axes.barh([0], [0], color=OURS, label="KyroChat")
    axes.barh([0], [0], color=THEIRS, label="bm25s")
    axes.vlines([], 0, 0, color=FLOOR, label="floor")
    axes.vlines([], 0, 0, color=STRETCH, label="stretch")
    axes.set_yticks(range(len(rows)), [_label(row.collection) for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("nDCG@10")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside upper right", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _label(name: str) -> str:
    """Return a name that leaves room for the bars, and whose dollars matplotlib takes for no mathematics."""
    short = name if len(name) <= MAX_LABEL_CHARS else name[: MAX_LABEL_CHARS - 1] + "…"
    return short.replace("$", r"\$")
