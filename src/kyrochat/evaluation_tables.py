"""Evaluations as tables for the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kyrochat.evaluation.comparison import Comparison, QuestionChange
from kyrochat.evaluation.gates import DIGITS, shown_figures
from kyrochat.evaluation.scoring import LATENCIES, NDCG, summary
from kyrochat.evaluation.types import Run, Scored

SHOWN_QUESTIONS = 20
SHOWN_CHARS = 60


def print_run(console: Console, run: Run) -> None:
    """Print the figures of a run, and the questions that did worst."""
    console.print(f"[bold]{escape(run.name)}[/]: {len(run.results):,} questions", highlight=False)
    figures = Table()
    figures.add_column("figure")
    figures.add_column("value", justify="right")
    for name, value in shown_figures(summary(run.results)):
        figures.add_row(name, _number(name, value))
    console.print(figures)
    for remark in run.remarks:
        console.print(f"Note: {escape(remark)}", highlight=False)
    worst = _worst(run.results)
    if worst:
        console.print("Questions that found least:")
        console.print(_questions(worst))


def print_comparison(console: Console, comparison: Comparison, before: str, after: str) -> None:
    """Print what changed between two runs: the figures, then the questions."""
    paired = f"{len(comparison.questions):,} questions that can be answered"
    console.print(f"[bold]{escape(before)} → {escape(after)}[/]: {paired}", highlight=False)
    figures = Table()
    figures.add_column("figure")
    for name in ("before", "after", "change", "p"):
        figures.add_column(name, justify="right")
    figures.add_column("")
    for change in comparison.figures:
        is_told = change.is_significant
        style = None if not is_told else "red" if change.drop > 0 else "green"
        figures.add_row(
            change.name,
            _number(change.name, change.before),
            _number(change.name, change.after),
            f"{change.difference:+.{DIGITS}f}" if change.name not in LATENCIES else f"{change.difference:+.1f}",
            "" if change.p_value is None else f"{change.p_value:.3f}",
            "" if change.p_value is None or not change.difference else "hardly chance" if is_told else "may be chance",
            style=style,
        )
    console.print(figures)
    if comparison.unmatched:
        console.print(f"Note: {comparison.unmatched:,} questions are in one of the runs only, and left out.")
    changed = comparison.changed
    if not changed:
        console.print("No question's ranking changed its nDCG@10.")
        return
    console.print(f"Questions that changed: {len(changed):,}", highlight=False)
    questions = Table()
    for name in ("question", NDCG, "first right result"):
        questions.add_column(name, justify="left" if name == "question" else "right", no_wrap=name != "question")
    for each in _ends(changed):
        difference = each.differences[NDCG]
        questions.add_row(
            escape(_short(each.after.question.text)),
            f"{each.before.measures[NDCG]:.2f} → {each.after.measures[NDCG]:.2f}",
            f"{_first(each.before)} → {_first(each.after)}",
            style="red" if difference < 0 else "green",
        )
    console.print(questions)


def _questions(results: Sequence[Scored]) -> Table:
    table = Table()
    table.add_column("question")
    table.add_column(NDCG, justify="right")
    table.add_column("first right result", justify="right")
    table.add_column("not found")
    for scored in results:
        table.add_row(
            escape(_short(scored.question.text)),
            f"{scored.measures[NDCG]:.2f}",
            _first(scored),
            escape(_short(" | ".join(scored.missed))),
        )
    return table


def _worst(results: Iterable[Scored]) -> Sequence[Scored]:
    told = [each for each in results if each.measures and each.measures[NDCG] < 1]
    return sorted(told, key=lambda each: each.measures[NDCG])[:SHOWN_QUESTIONS]


def _ends(changed: Sequence[QuestionChange]) -> Sequence[QuestionChange]:
    if len(changed) <= SHOWN_QUESTIONS:
        return changed
    return [*changed[: SHOWN_QUESTIONS // 2], *changed[-SHOWN_QUESTIONS // 2 :]]


def _first(scored: Scored) -> str:
    return next((str(place) for place, found in enumerate(scored.ranking, start=1) if found.met), "none")


def _number(name: str, value: float) -> str:
    return f"{value:.1f}" if name in LATENCIES else f"{value:.{DIGITS}f}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
