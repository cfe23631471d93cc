"""Chooses, of all that was found, what is shown and used."""

from collections.abc import Sequence
from dataclasses import dataclass

from kyrochat.retrieval.ranking import Ranked
from kyrochat.retrieval.search_settings import UsedSettings
from kyrochat.retrieval.trace import Candidate, Fate, FoundPassage
from kyrochat.retrieval.types import Passage


@dataclass(frozen=True, slots=True)
class Selection:
    """The passages, best first, as the trace has them as well, and what came of every candidate."""

    passages: tuple[Passage, ...]
    found: tuple[FoundPassage, ...]
    candidates: tuple[Candidate, ...]


def select(ranked: Sequence[Ranked], used: UsedSettings) -> Selection:
    """Return the best `top_k` that score at least `min_score`."""
    candidates: list[Candidate] = []
    passages: list[Passage] = []
    for place, each in enumerate(ranked, start=1):
        fate = Fate.KEPT
        if each.passage.score < used.min_score:
            fate = Fate.BELOW_MIN_SCORE
        elif len(passages) == used.top_k:
            fate = Fate.BEYOND_TOP_K
        else:
            passages.append(each.passage)
        candidates.append(candidate(each, place, fate))
    return Selection(tuple(passages), tuple(_found(passage) for passage in passages), tuple(candidates))


def candidate(ranked: Ranked, place: int, fate: Fate) -> Candidate:
    """Return what the trace says of something found."""
    passage = ranked.passage
    return Candidate(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        document_version=passage.document_version,
        start=passage.start,
        end=passage.end,
        rank=place,
        score=passage.score,
        fused=ranked.fused,
        fate=fate,
        lexical=ranked.lexical,
        dense=ranked.dense,
        proximity=ranked.proximity,
        reranked=ranked.reranked,
    )


def _found(passage: Passage) -> FoundPassage:
    return FoundPassage(
        passage.document_id, passage.document_version, passage.start, passage.end, passage.score, (passage.chunk_id,)
    )
