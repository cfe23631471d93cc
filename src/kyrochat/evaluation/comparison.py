"""What changed between two runs of the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kyrochat.evaluation.scoring import FIGURES, MEASURES, NDCG, summary
from kyrochat.evaluation.significance import p_value
from kyrochat.evaluation.types import Scored

# Of these figures less is better.
LESS_IS_BETTER = frozenset({"latency_p50_ms", "latency_p95_ms", "empty", "degraded"})
# A p-value below this is called significant.
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before and after. `p_value` is None for figures that no question has of its own."""

    name: str
    before: float
    after: float
    p_value: float | None = None

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def is_significant(self) -> bool:
        """Whether it is hardly chance."""
        return self.p_value is not None and self.p_value < ALPHA

    @property
    def drop(self) -> float:
        """By how much it has become worse; below 0 if it is better."""
        return self.difference if self.name in LESS_IS_BETTER else -self.difference


@dataclass(frozen=True, slots=True)
class QuestionChange:
    """One question in both runs."""

    before: Scored
    after: Scored

    @property
    def differences(self) -> Mapping[str, float]:
        """After less before, by measure."""
        return {name: self.after.measures[name] - self.before.measures[name] for name in MEASURES}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side, over the questions that both have; `unmatched` is how many only one has."""

    figures: tuple[Change, ...]
    questions: tuple[QuestionChange, ...]
    unmatched: int

    @property
    def changed(self) -> tuple[QuestionChange, ...]:
        """The questions whose nDCG@10 changed, the worst first."""
        told = [each for each in self.questions if each.differences[NDCG]]
        return tuple(sorted(told, key=lambda each: each.differences[NDCG]))


def compare(before: Sequence[Scored], after: Sequence[Scored]) -> Comparison:
    """Pair the questions of two runs, by key and text, and compare what became of them."""
    known = {_identity(each): each for each in before}
    pairs = [(known[_identity(each)], each) for each in after if _identity(each) in known]
    changes = tuple(
        QuestionChange(old, new) for old, new in pairs if old.question.is_answerable and new.question.is_answerable
    )
    was, now = summary(old for old, _ in pairs), summary(new for _, new in pairs)
    figures = tuple(
        Change(
            name,
            was[name],
            now[name],
            p_value([change.differences[name] for change in changes]) if name in MEASURES else None,
        )
        for name in FIGURES
        if name in was and name in now
    )
    return Comparison(figures, changes, len(before) + len(after) - 2 * len(pairs))


def _identity(scored: Scored) -> tuple[str, str]:
    return scored.question.key, scored.question.text
