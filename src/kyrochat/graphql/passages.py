"""Passages and citations in the schema."""

from collections.abc import Sequence

import strawberry

from kyrochat.chat.events import Quote
from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.documents import Document
from kyrochat.retrieval import types


@strawberry.type(
    description="A retrieved chunk: characters [start, end) of a document version's text, and they are exactly `text`."
)
class Passage:
    """From retrieval.types.Passage."""

    document: Document = strawberry.field(description="The document that it is from.")
    document_version: int = strawberry.field(description="The version of the document that offsets refer to.")
    start: int = strawberry.field(description="Its first character.")
    end: int = strawberry.field(description="The character after its last.")
    text: str = strawberry.field(description="The characters themselves.")
    score: float = strawberry.field(description="Higher is better; scores of two searches are not comparable.")
    page: int | None = strawberry.field(description="The page that it is on, where the format has pages.")
    heading: str | None = strawberry.field(description="The nearest heading above it.")

    @classmethod
    async def of_live_documents(cls, found: Sequence[types.Passage], context: Context) -> "list[Passage]":
        """Translate; those whose document was deleted meanwhile are left out."""
        documents = await context.documents.load_many([passage.document_id for passage in found])
        return [
            cls(
                document=Document.from_row(document),
                document_version=passage.document_version,
                start=passage.start,
                end=passage.end,
                text=passage.text,
                score=passage.score,
                page=passage.page,
                heading=passage.heading,
            )
            for passage, document in zip(found, documents, strict=True)
            if document is not None
        ]


@strawberry.type(
    description="What marker `[number]` in an answer's text stands for: `quote` is characters [start, end) of the "
    "document version's text, verbatim, checked before it is sent."
)
class Citation:
    """From models.Citation, or from chat.events.Quote while the answer is being written."""

    row: strawberry.Private[models.Citation | Quote]
    number: int = strawberry.field(description="The number in the marker.")
    document_title: str = strawberry.field(description="The document's title when it was cited.")
    document_version: int = strawberry.field(description="The version of the document that offsets refer to.")
    start: int = strawberry.field(description="The quote's first character.")
    end: int = strawberry.field(description="The character after its last.")
    quote: str = strawberry.field(description="The characters themselves; they stay when the document is deleted.")
    page: int | None = strawberry.field(description="The page that it is on, where the format has pages.")

    @classmethod
    def from_row(cls, row: models.Citation | Quote) -> "Citation":
        """Translate."""
        return cls(
            row=row,
            number=row.number,
            document_title=row.document_title,
            document_version=row.document_version,
            start=row.start,
            end=row.end,
            quote=row.quote,
            page=row.page,
        )

    @strawberry.field(description="The document; null when it was deleted since.")
    async def document(self, info: Info) -> Document | None:
        """Load."""
        row = await info.context.documents.load(self.row.document_id) if self.row.document_id else None
        return Document.from_row(row) if row else None
