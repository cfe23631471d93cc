"""The picture of the benchmark of search: how the processors' time grows with the bot."""

from collections.abc import Sequence
from pathlib import Path

COLOURS = ("#2f5d8a", "#2e7d32", "#b3261e", "#8a6d2f", "#6b4c9a", "#3a8f8f", "#8c8c8c", "#c06090")


def draw(points: Sequence[tuple[str, int, float, float]], path: Path) -> None:
    """Draw (way, chunks, ms at p50, ms at p95), both axes logarithmic; the suffix says whether it is SVG or PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ways = list(dict.fromkeys(way for way, *_ in points))
    for way, colour in zip(ways, COLOURS * 2, strict=False):
        found = sorted((chunks, half, most) for name, chunks, half, most in points if name == way)
        chunks, halves, mosts = ([point[place] for point in found] for place in range(3))
        style = "--" if "memory" in way else "-"
        axes.plot(chunks, halves, style, marker="o", markersize=4, color=colour, label=way)
        axes.fill_between(chunks, halves, mosts, color=colour, alpha=0.12, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="chunks of the bot", ylabel="ms that processors were busy, p50 to p95")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(alpha=0.2)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
