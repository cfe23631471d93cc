"""Searches as they were done: the traces behind an answer, in the schema."""

from typing import Annotated
from uuid import UUID

import strawberry

from kyrochat.graphql.context import Info
from kyrochat.graphql.documents import Document
from kyrochat.graphql.enums import CandidateFate, SearchLeg, SearchLegStatus
from kyrochat.graphql.filters import DocumentFilter
from kyrochat.graphql.ids import global_id
from kyrochat.retrieval import search_settings, trace

DEFAULT_CANDIDATES = 20
CHUNK_ID = "The id of the chunk; it means something within this search only."


@strawberry.type(description="How a search was made.")
class SearchSettings:
    """From search_settings.UsedSettings."""

    top_k: int = strawberry.field(description="How many passages it could return.")
    min_score: float = strawberry.field(description="What scored less than this was left out.")
    alpha: float = strawberry.field(
        description="The weight of the leg by meaning, 0 to 1; the one by words has the rest."
    )
    legs: list[SearchLeg] = strawberry.field(description="The legs that were wanted, where they are set up.")
    filter: DocumentFilter | None = strawberry.field(description="Which documents were searched; null: all.")

    @classmethod
    def from_value(cls, value: search_settings.UsedSettings) -> "SearchSettings":
        """Translate."""
        return cls(
            top_k=value.top_k,
            min_score=value.min_score,
            alpha=value.alpha,
            legs=list(value.legs),
            filter=DocumentFilter.from_value(value.filter),
        )


@strawberry.type(description="What one leg of a search did.")
class SearchLegReport:
    """From trace.LegReport."""

    leg: SearchLeg = strawberry.field(description="Which one.")
    status: SearchLegStatus = strawberry.field(description="What came of it.")
    reason: str | None = strawberry.field(description="Why it is not OK.")
    milliseconds: float = strawberry.field(description="How long it took.")
    candidates: int = strawberry.field(description="How many chunks it found.")
    scheme: str | None = strawberry.field(description="Its encoder or model: scores of two schemes are not comparable.")
    cached: bool = strawberry.field(description="Whether it could answer from memory.")


@strawberry.type(description="What a leg says of a candidate, in units of its own.")
class SearchLegScore:
    """From trace.LegScore."""

    score: float = strawberry.field(description="Higher is better.")
    rank: int | None = strawberry.field(
        description="Its place, from 1; null when the leg had not listed it, and was asked for its score afterwards."
    )


@strawberry.type(description="A chunk that a search looked at: characters [start, end) of a document version's text.")
class SearchCandidate:
    """From trace.Candidate."""

    document_id_: strawberry.Private[UUID]
    chunk_id: strawberry.ID = strawberry.field(description=CHUNK_ID)
    document_version: int = strawberry.field(description="The version of the document that offsets refer to.")
    start: int = strawberry.field(description="Its first character.")
    end: int = strawberry.field(description="The character after its last.")
    rank: int = strawberry.field(description="Its place among all candidates, from 1.")
    score: float = strawberry.field(description="The score that gave it this place, 0 to 1.")
    fused: float = strawberry.field(description="What the legs made together before that, in units of this search.")
    lexical: SearchLegScore | None = strawberry.field(description="What the leg by words says; null: nothing.")
    proximity: float = strawberry.field(description="The part of it that is for words standing close together.")
    dense: SearchLegScore | None = strawberry.field(description="What the leg by meaning says; null: nothing.")
    reranked: float | None = strawberry.field(description="What the reranker says; null: it was not asked.")
    fate: CandidateFate = strawberry.field(description="What came of it.")
    of: strawberry.ID | None = strawberry.field(
        description="The chunk that a DUPLICATE repeats, or to which a MERGED one was joined."
    )

    @strawberry.field(description="The id of the document that it is from, which may be deleted since.")
    def document_id(self) -> strawberry.ID:
        """Translate."""
        return global_id("Document", self.document_id_)

    @strawberry.field(description="The document that it is from; null when it was deleted since.")
    async def document(self, info: Info) -> Document | None:
        """Load."""
        row = await info.context.documents.load(self.document_id_)
        return Document.from_row(row) if row else None

    @classmethod
    def from_value(cls, value: trace.Candidate) -> "SearchCandidate":
        """Translate."""
        return cls(
            document_id_=value.document_id,
            chunk_id=strawberry.ID(str(value.chunk_id)),
            document_version=value.document_version,
            start=value.start,
            end=value.end,
            rank=value.rank,
            score=value.score,
            fused=value.fused,
            lexical=_leg_score(value.lexical),
            proximity=value.proximity,
            dense=_leg_score(value.dense),
            reranked=value.reranked,
            fate=value.fate,
            of=strawberry.ID(str(value.of)) if value.of else None,
        )


@strawberry.type(description="A passage that a search returned: characters [start, end) of a document version's text.")
class SearchedPassage:
    """From trace.FoundPassage."""

    document_id_: strawberry.Private[UUID]
    document_version: int = strawberry.field(description="The version of the document that offsets refer to.")
    start: int = strawberry.field(description="Its first character.")
    end: int = strawberry.field(description="The character after its last.")
    score: float = strawberry.field(description="Its score, 0 to 1.")
    chunk_ids: list[strawberry.ID] = strawberry.field(description="The chunks that it is made of, in order.")

    @strawberry.field(description="The document that it is from; null when it was deleted since.")
    async def document(self, info: Info) -> Document | None:
        """Load."""
        row = await info.context.documents.load(self.document_id_)
        return Document.from_row(row) if row else None

    @classmethod
    def from_value(cls, value: trace.FoundPassage) -> "SearchedPassage":
        """Translate."""
        return cls(
            document_id_=value.document_id,
            document_version=value.document_version,
            start=value.start,
            end=value.end,
            score=value.score,
            chunk_ids=[strawberry.ID(str(chunk_id)) for chunk_id in value.chunk_ids],
        )


@strawberry.type(description="How long a part of a search took that belongs to no leg.")
class SearchStep:
    """From trace.Step."""

    name: str = strawberry.field(description="Which part.")
    milliseconds: float = strawberry.field(description="How long it took.")


@strawberry.type(description="A search: what was asked, how, what each leg did, and what came of all that was found.")
class SearchTrace:
    """From trace.SearchTrace."""

    value: strawberry.Private[trace.SearchTrace]
    query: str = strawberry.field(description="What was asked.")
    settings: SearchSettings = strawberry.field(description="How.")
    legs: list[SearchLegReport] = strawberry.field(description="What each leg did.")
    candidate_count: int = strawberry.field(description="How many chunks were found in all.")
    passages: list[SearchedPassage] = strawberry.field(description="What it returned, best first.")
    milliseconds: float = strawberry.field(description="How long all of it took.")
    steps: list[SearchStep] = strawberry.field(description="How long those parts took that belong to no leg.")
    index_version: int | None = strawberry.field(
        description="Counts the changes of what can be found with the bot; null when it was not looked at."
    )
    cached: bool = strawberry.field(
        description="Whether it is the result of an earlier search, nothing having changed."
    )

    @strawberry.field(
        description="Chunks that were found, best first: those of the passages, and the best of the rest."
    )
    def candidates(
        self,
        first: Annotated[
            int | None, strawberry.argument(description="How many at most: 1 to 60.")
        ] = DEFAULT_CANDIDATES,
    ) -> list[SearchCandidate]:
        """Translate."""
        count = DEFAULT_CANDIDATES if first is None else min(max(first, 1), trace.MAX_CANDIDATES)
        return [SearchCandidate.from_value(each) for each in self.value.candidates[:count]]

    @classmethod
    def from_value(cls, value: trace.SearchTrace) -> "SearchTrace":
        """Translate."""
        return cls(
            value=value,
            query=value.query,
            settings=SearchSettings.from_value(value.settings),
            legs=[
                SearchLegReport(
                    leg=each.leg,
                    status=each.status,
                    reason=each.reason,
                    milliseconds=each.milliseconds,
                    candidates=each.candidates,
                    scheme=each.scheme,
                    cached=each.cached,
                )
                for each in value.legs
            ],
            candidate_count=value.candidate_count,
            passages=[SearchedPassage.from_value(each) for each in value.passages],
            milliseconds=value.milliseconds,
            steps=[SearchStep(name=each.name, milliseconds=each.milliseconds) for each in value.steps],
            index_version=value.index_version,
            cached=value.cached,
        )


@strawberry.type(description="How the passages were found that an answer could use.")
class Retrieval:
    """From the traces of a message."""

    searches: list[SearchTrace] = strawberry.field(description="The searches that were really made for it, in order.")


def _leg_score(value: trace.LegScore | None) -> SearchLegScore | None:
    return SearchLegScore(score=value.score, rank=value.rank) if value else None
