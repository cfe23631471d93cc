"""Pictures of runs. matplotlib, of the extra `kyrochat[eval]`, is imported when one is drawn."""

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kyrochat.errors import ConfigurationError, InvalidInput
from kyrochat.evaluation.comparison import Comparison
from kyrochat.evaluation.scoring import MEASURES, NDCG, summary
from kyrochat.evaluation.types import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEFORE, AFTER, WORSE, BETTER = "#b8c0cc", "#2f5d8a", "#b3261e", "#2e7d32"
SUFFIXES = (".svg", ".png")
PLACES = ("1", "2", "3", "4-5", "6-10", "later", "never")


def check_picture(path: Path) -> None:
    """Check that a picture can be drawn there, before anything is asked.

    Raises:
        InvalidInput: the suffix is neither .svg nor .png.
        ConfigurationError: matplotlib is not there.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput.at("plot", f"A picture is a file that ends in {' or '.join(SUFFIXES)}.")
    try:
        import_module("matplotlib.figure")
    except ImportError as error:
        raise ConfigurationError("Pictures need the extra: pip install 'kyrochat[eval]'") from error


def draw(path: Path, run: Run, baseline: Run | None = None, comparison: Comparison | None = None) -> None:
    """Draw the measures of a run; beside them, where the first right passage was, or what changed by question.

    Raises:
        InvalidInput: the file cannot be written.
        ConfigurationError: matplotlib is not there.
    """
    check_picture(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Ids in the SVG that are the same for the same figures, and letters that stay text, dollars in names as well.
    with rc_context(
        {"svg.hashsalt": "kyrochat", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False},
    ):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        _measures(left, run, baseline)
        if comparison is None:
            _first_places(right, run)
        else:
            _differences(right, comparison)
        for axes in (left, right):
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        try:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise InvalidInput.at("plot", f"{path} cannot be written ({error.strerror}).") from error


def _measures(axes: "Axes", run: Run, baseline: Run | None) -> None:
    runs = [(run, AFTER)] if baseline is None else [(baseline, BEFORE), (run, AFTER)]
    width = 0.8 / len(runs)
    for number, (each, colour) in enumerate(runs):
        figures = summary(each.results)
        for place, name in enumerate(MEASURES):
            value = figures.get(name, 0.0)
            x = place - 0.4 + width * (number + 0.5)
            axes.bar(x, value, width, color=colour, label=_short(each.name) if not place else None)
            axes.text(x, value + 0.01, f"{value:.2f}", ha="center", fontsize=7)
    axes.set_xticks(range(len(MEASURES)), MEASURES, rotation=20)
    axes.set_ylim(0, 1.12)
    axes.set_title("Means over the questions", loc="left")
    if baseline is not None:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)


def _first_places(axes: "Axes", run: Run) -> None:
    counts = Counter(_first_place(scored.ranking) for scored in run.results if scored.question.is_answerable)
    numbers = [counts[place] for place in PLACES]
    colours = [WORSE if place == "never" else AFTER for place in PLACES]
    axes.bar(range(len(PLACES)), numbers, color=colours)
    for place, number in enumerate(numbers):
        axes.text(place, number, str(number), ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(len(PLACES)), PLACES)
    axes.set_title("Questions, by the place of the first right result", loc="left")


def _first_place(ranking: Any) -> str:
    place = next((number for number, found in enumerate(ranking, start=1) if found.met), None)
    if place is None:
        return "never"
    return str(place) if place <= 3 else "4-5" if place <= 5 else "6-10" if place <= 10 else "later"


def _differences(axes: "Axes", comparison: Comparison) -> None:
    values = sorted((each.differences[NDCG] for each in comparison.questions), reverse=True)
    axes.bar(range(len(values)), values, width=1.0, color=[BETTER if value > 0 else WORSE for value in values])
    better, worse = sum(value > 0 for value in values), sum(value < 0 for value in values)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks([])
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlabel(
        f"{len(values)} questions: {better} better, {worse} worse, {len(values) - better - worse} as before"
    )
    axes.set_title("Change of nDCG@10, by question", loc="left")


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"
