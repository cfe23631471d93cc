"""Makes one passage of chunks that are neighbours: characters [start, end) of the version, and they are its text."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

from kyrochat.db.engine import Database
from kyrochat.retrieval import repository
from kyrochat.retrieval.selection import Group
from kyrochat.retrieval.trace import FoundPassage
from kyrochat.retrieval.types import Passage


async def join(database: Database, workspace_id: UUID, groups: Sequence[Group]) -> list[tuple[Passage, FoundPassage]]:
    """Return the passage of each group, in their order, and what a trace says of it.

    Between two chunks there may be white space that neither has. Where it cannot be read any more, since the version
    was replaced and swept meanwhile, the best chunk is the passage.
    """
    spans = {
        group.first.chunk_id: (group.first.document_id, group.first.document_version, group.first.start, group.last.end)
        for group in groups
        if any(one.passage.end < other.passage.start for one, other in pairwise(group.members))
    }
    texts: dict[UUID, str] = {}
    if spans:
        async with database.begin([workspace_id]) as session:
            texts = await repository.spans(session, spans)
    return [_joined(group, texts) for group in groups]


def _joined(group: Group, texts: dict[UUID, str]) -> tuple[Passage, FoundPassage]:
    first, last = group.first, group.last
    best = group.best.passage
    text = texts.get(first.chunk_id) or "".join(each.passage.text for each in group.members)
    if len(text) == last.end - first.start:
        passage = replace(first, chunk_id=best.chunk_id, end=last.end, text=text, score=best.score)
        chunk_ids = tuple(each.passage.chunk_id for each in group.members)
    else:
        passage, chunk_ids = best, (best.chunk_id,)
    return passage, FoundPassage(
        passage.document_id, passage.document_version, passage.start, passage.end, passage.score, chunk_ids
    )
