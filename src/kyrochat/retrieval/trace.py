"""What happened in a search, so that somebody can see why a passage was found, and why another was not.

It holds ids, offsets and figures, and no text of documents: what was deleted cannot be read in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from kyrochat.retrieval.search_settings import Leg, UsedSettings

MAX_CANDIDATES = 60


class LegStatus(StrEnum):
    """What came of a leg. OFF: it is not set up, or the settings leave it out."""

    OK = "OK"
    LATE = "LATE"
    FAILED = "FAILED"
    OFF = "OFF"


class Fate(StrEnum):
    """What came of a candidate."""

    KEPT = "KEPT"
    MERGED = "MERGED"
    DUPLICATE = "DUPLICATE"
    BELOW_MIN_SCORE = "BELOW_MIN_SCORE"
    OVER_DOCUMENT_LIMIT = "OVER_DOCUMENT_LIMIT"
    BEYOND_TOP_K = "BEYOND_TOP_K"


@dataclass(frozen=True, slots=True)
class LegReport:
    """One leg of a search. `scheme` names its encoder or model; `reason`, safe to show, says why it is not OK."""

    leg: Leg
    status: LegStatus
    reason: str | None = None
    milliseconds: float = 0.0
    candidates: int = 0
    scheme: str | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class LegScore:
    """A leg's score for a candidate, in the leg's units. `rank` counts from 1.

    Without a rank the leg had not listed it: its score was computed afterwards, to be fair to the other leg.
    """

    score: float
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that a leg has found: characters [start, end) of that version of the document.

    The score of the lexical leg includes `proximity`. `fused` is what the legs make together, `reranked` the
    reranker's score, `score` the one that decides, and `rank`, from 1, the place that it gives.
    `of` is the chunk that a duplicate repeats, or with whose passage a merged one is joined.
    """

    chunk_id: UUID
    document_id: UUID
    document_version: int
    start: int
    end: int
    rank: int
    score: float
    fused: float
    fate: Fate
    of: UUID | None = None
    lexical: LegScore | None = None
    dense: LegScore | None = None
    proximity: float = 0.0
    reranked: float | None = None


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that the search returned, and the chunks that it is made of, in the text's order."""

    document_id: UUID
    document_version: int
    start: int
    end: int
    score: float
    chunk_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """How long a part of the search took that belongs to no leg."""

    name: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class SearchTrace:
    """A search: what was asked, how, what each leg did, and what came of what they found.

    `candidates` are at most `MAX_CANDIDATES` of `candidate_count`: those of the passages always, then the best.
    """

    query: str
    settings: UsedSettings
    legs: tuple[LegReport, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    candidate_count: int = 0
    passages: tuple[FoundPassage, ...] = ()
    milliseconds: float = 0.0
    steps: tuple[Step, ...] = ()
    index_version: int | None = None
    cached: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON that `from_json` reads."""
        plain: dict[str, Any] = _adapter().dump_python(self, mode="json", exclude_defaults=True)
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SearchTrace":
        """Return what `to_json` made JSON of. What is missing has its default; what is not known is left out.

        Raises:
            ValueError: this is no trace.
        """
        return _adapter().validate_python(dict(data))


def bounded(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return what a trace keeps of the candidates, by rank."""
    used = sorted(candidates, key=lambda each: (each.fate not in (Fate.KEPT, Fate.MERGED), each.rank))
    return tuple(sorted(used[:MAX_CANDIDATES], key=lambda each: each.rank))


@cache
def _adapter() -> TypeAdapter[SearchTrace]:
    return TypeAdapter(SearchTrace)
