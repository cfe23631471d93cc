"""Chooses, of all that was found, what is shown and used: good enough, nothing twice, neighbours together, and not all
from one document where others have something to say."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain
from math import ceil
from uuid import UUID

from kyrochat.retrieval.duplicates import Seen
from kyrochat.retrieval.ranking import Ranked
from kyrochat.retrieval.search_settings import UsedSettings
from kyrochat.retrieval.trace import Candidate, Fate
from kyrochat.retrieval.types import Passage

DOCUMENT_SHARE = 0.5
LEAST_OF_DOCUMENT = 3
CROWDED = 0.7
"""Chunks of a document that has its share (of `top_k`, rounded up) count as so much less when they are chosen."""

MAX_PASSAGE_CHARS = 3_000
"""Neighbours are put together up to here: about three chunks."""


@dataclass(slots=True)
class Group:
    """Neighbouring chunks, in the text's order: one passage."""

    members: list[Ranked]

    @property
    def best(self) -> Ranked:
        """The chunk with the highest score, which stands for all."""
        return max(self.members, key=lambda each: each.passage.score)

    @property
    def first(self) -> Passage:
        """The chunk that it begins with."""
        return self.members[0].passage

    @property
    def last(self) -> Passage:
        """The chunk that it ends with."""
        return self.members[-1].passage

    def goes_on_with(self, other: "Group") -> bool:
        """Say whether the other one begins where this one ends, and both are short enough to be one."""
        mine, its = self.last, other.first
        return (
            (mine.document_id, mine.document_version, mine.page) == (its.document_id, its.document_version, its.page)
            and mine.ordinal + 1 == its.ordinal
            and other.last.end - self.first.start <= MAX_PASSAGE_CHARS
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The passages to be, best first, and what came of every candidate, by rank."""

    groups: tuple[Group, ...]
    candidates: tuple[Candidate, ...]


def select(ranked: Sequence[Ranked], used: UsedSettings) -> Selection:
    """Choose up to `top_k` passages from what was found, best first."""
    share = max(LEAST_OF_DOCUMENT, ceil(used.top_k * DOCUMENT_SHARE))
    by_document: defaultdict[UUID, list[Group]] = defaultdict(list)
    count = 0
    fates: dict[UUID, tuple[Fate, UUID | None]] = {}
    seen = Seen()
    waiting = [(-each.passage.score, place, each) for place, each in enumerate(ranked)]
    while waiting and count < used.top_k:
        weight, place, each = heappop(waiting)
        passage = each.passage
        of_document = by_document[passage.document_id]
        worth = -passage.score * (CROWDED if len(of_document) >= share else 1.0)
        if worth > weight:  # its document has had its share since
            heappush(waiting, (worth, place, each))
        elif passage.score < used.min_score:
            fates[passage.chunk_id] = (Fate.BELOW_MIN_SCORE, None)
        elif (same := seen.add(passage)) is not None:
            fates[passage.chunk_id] = (Fate.DUPLICATE, same)
        else:
            count -= len(of_document)
            _add(of_document, Group([each]))
            count += len(of_document)
    groups = list(chain.from_iterable(by_document.values()))
    for group in groups:
        best = group.best.passage.chunk_id
        for member in group.members:
            chunk_id = member.passage.chunk_id
            fates[chunk_id] = (Fate.KEPT, None) if chunk_id == best else (Fate.MERGED, best)
    least = min((each.passage.score for group in groups for each in group.members), default=0.0)
    for _, _, each in waiting:
        fates[each.passage.chunk_id] = (_fate_of_rest(each.passage.score, least, used), None)
    places = {each.passage.chunk_id: place for place, each in enumerate(ranked, start=1)}
    return Selection(
        tuple(sorted(groups, key=lambda group: (-group.best.passage.score, places[group.best.passage.chunk_id]))),
        tuple(_candidate(each, place, *fates[each.passage.chunk_id]) for place, each in enumerate(ranked, start=1)),
    )


def _add(of_document: list[Group], new: Group) -> None:
    """Add a group to those of its document, together with the neighbours that it has."""
    for side in ("before", "after"):
        for other in of_document:
            ahead, behind = (other, new) if side == "before" else (new, other)
            if ahead.goes_on_with(behind):
                of_document.remove(other)
                new = Group([*ahead.members, *behind.members])
                break
    of_document.append(new)


def _fate_of_rest(score: float, least: float, used: UsedSettings) -> Fate:
    if score < used.min_score:
        return Fate.BELOW_MIN_SCORE
    return Fate.OVER_DOCUMENT_LIMIT if score > least else Fate.BEYOND_TOP_K


def _candidate(ranked: Ranked, place: int, fate: Fate, of: UUID | None) -> Candidate:
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
        of=of,
        lexical=ranked.lexical,
        dense=ranked.dense,
        proximity=ranked.proximity,
        reranked=ranked.reranked,
    )
