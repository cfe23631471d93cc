"""Brings what the legs found into one order, with a score that means the same from question to question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from kyrochat.retrieval.fusion import fuse
from kyrochat.retrieval.lexical_leg import LexicalHits
from kyrochat.retrieval.trace import LegScore
from kyrochat.retrieval.types import Passage


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage, whose score is the one that decides, and how it came by it."""

    passage: Passage
    lexical: LegScore | None = None
    dense: LegScore | None = None
    proximity: float = 0.0
    fused: float = 0.0
    reranked: float | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """What the dense leg found: its `hits`, best first, and those of all hits that are live, by chunk id.

    `lexical` and `dense` are the legs' scores for hits that only the other one has listed.
    """

    hits: Sequence[tuple[UUID, float]] = ()
    live: Mapping[UUID, Passage] = field(default_factory=dict)
    lexical: Mapping[UUID, float] = field(default_factory=dict)
    dense: Mapping[UUID, float] = field(default_factory=dict)


def rank(lexical: LexicalHits, near: Near, alpha: float) -> list[Ranked]:
    """Return all that was found, best first, scored from 0 to 1.

    The order is the fused one. The scores are its, stretched so that the best one's says how well it answers the
    question by itself: how much of the question's words it holds, and how near its meaning is. Fused scores alone
    say nothing of that, for they call the best of a bad lot 1.
    """
    found = {**near.live, **{passage.chunk_id: passage for passage in lexical.passages}}
    by_words = {passage.chunk_id: passage.score for passage in lexical.passages}
    by_meaning = {chunk_id: score for chunk_id, score in near.hits if chunk_id in found}
    word_places, meaning_places = _places(by_words), _places(by_meaning)
    by_words, by_meaning = (
        by_words | {key: score for key, score in near.lexical.items() if key in by_meaning},
        by_meaning | {key: score for key, score in near.dense.items() if key in by_words},
    )
    fused = fuse(list(by_meaning.items()), list(by_words.items()), alpha)
    scores = _absolute(fused, by_words, by_meaning, lexical.usual_score, alpha)
    return [
        Ranked(
            replace(found[key], score=scores[key]),
            _leg_score(by_words, word_places, key),
            _leg_score(by_meaning, meaning_places, key),
            lexical.bonuses.get(key, 0.0),
            score,
        )
        for key, score in fused
    ]


def _absolute(
    fused: Sequence[tuple[UUID, float]],
    by_words: Mapping[UUID, float],
    by_meaning: Mapping[UUID, float],
    usual_score: float,
    alpha: float,
) -> dict[UUID, float]:
    if not by_meaning:
        return {key: _coverage(score, usual_score) for key, score in fused}
    if not by_words:
        return {key: _within(score) for key, score in fused}
    best, top = fused[0]
    own = alpha * _within(by_meaning.get(best, 0.0))
    own += (1 - alpha) * _coverage(by_words.get(best, 0.0), usual_score)
    return {key: own * score / top if top > 0 else own for key, score in fused}


def _coverage(score: float, usual_score: float) -> float:
    """Return how much of the question's words a BM25 score stands for: 0.5 when each is there once."""
    return score / (score + usual_score) if score > 0 else 0.0


def _within(score: float) -> float:
    return min(max(score, 0.0), 1.0)


def _places(scores: Mapping[UUID, float]) -> dict[UUID, int]:
    return {key: place for place, key in enumerate(scores, start=1)}


def _leg_score(scores: Mapping[UUID, float], places: Mapping[UUID, int], key: UUID) -> LegScore | None:
    return LegScore(scores[key], places.get(key)) if key in scores else None
