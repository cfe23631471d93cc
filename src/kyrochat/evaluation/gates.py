"""What a run must reach for a pipeline to go on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

from kyrochat.errors import InvalidInput
from kyrochat.evaluation.comparison import LESS_IS_BETTER, Comparison
from kyrochat.evaluation.scoring import FIGURES, NDCG

# Figures are shown with three digits, and what is shown decides.
DIGITS = 3


@dataclass(frozen=True, slots=True)
class Gates:
    """Limits by figure: what it must not be below, not be above, and not get worse by."""

    least: Mapping[str, float]
    most: Mapping[str, float]
    drops: Mapping[str, float]

    def failures(self, figures: Mapping[str, float], comparison: Comparison | None) -> list[str]:
        """Return a sentence for each limit that was not kept; a figure that is missing keeps none."""
        missed = [_missing(name) for name in (*self.least, *self.most) if name not in figures]
        missed += [
            f"{name} is {figures[name]:.3f}, below {limit:g}."
            for name, limit in self.least.items()
            if name in figures and round(figures[name], DIGITS) < limit
        ]
        missed += [
            f"{name} is {figures[name]:.3f}, above {limit:g}."
            for name, limit in self.most.items()
            if name in figures and round(figures[name], DIGITS) > limit
        ]
        if comparison is not None:
            changes = {change.name: change for change in comparison.figures}
            missed += [_missing(name) for name in self.drops if name not in changes]
            missed += [
                f"{change.name} went from {change.before:.3f} to {change.after:.3f}, worse by more than {limit:g}."
                for name, limit in self.drops.items()
                if (change := changes.get(name)) is not None and round(change.drop, DIGITS) > limit
            ]
        return missed


def read_gates(least: Iterable[str], most: Iterable[str], drops: Iterable[str]) -> Gates:
    """Read limits such as `ndcg@10=0.7`; a drop may be a number alone, and is then nDCG@10's.

    Raises:
        InvalidInput: a limit is none.
    """
    return Gates(
        dict(_limit(each, "fail-under") for each in least),
        dict(_limit(each, "fail-over") for each in most),
        dict(_limit(each if "=" in each else f"{NDCG}={each}", "max-drop") for each in drops),
    )


def _limit(text: str, option: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    known = {figure.lower(): figure for figure in FIGURES}.get(name.strip().lower())
    if known is None:
        raise InvalidInput.at(option, f"There is no figure {name!r}. There are: {', '.join(FIGURES)}.")
    if option == "fail-under" and known in LESS_IS_BETTER:
        raise InvalidInput.at(option, f"Of {known} less is better: use --fail-over.")
    try:
        limit = float(number)
    except ValueError:
        limit = nan
    if not isfinite(limit):  # nothing is below, above or worse than what is no number
        raise InvalidInput.at(option, f"{text!r} lacks a number: write it as {known}=0.7.")
    return known, limit


def _missing(name: str) -> str:
    return f"{name} could not be measured: no question has it."


def shown_figures(figures: Mapping[str, float]) -> Sequence[tuple[str, float]]:
    """Return figures in the order in which they are shown."""
    return [(name, figures[name]) for name in FIGURES if name in figures]
