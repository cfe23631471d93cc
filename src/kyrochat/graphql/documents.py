"""Documents in the schema."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, cast

import strawberry
from strawberry import UNSET

from kyrochat.db import models
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import DocumentDeletionStatus, DocumentSource, DocumentStage, DocumentStatus
from kyrochat.graphql.filters import Metadata
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.optional import if_given
from kyrochat.graphql.translate import translate

if TYPE_CHECKING:
    from kyrochat.graphql.bots import Bot

DocumentId = Annotated[strawberry.ID, strawberry.argument(description="The id of a document.")]


@strawberry.type(description="A text that a bot answers from.")
class Document(Node):
    """From models.Document."""

    row: strawberry.Private[models.Document]
    title: str = strawberry.field(description="How it is called in citations.")
    source: DocumentSource = strawberry.field(description="How it came in.")
    url: str | None = strawberry.field(
        description="Where it came from, for documents from the web: the address that answered, after all redirects."
    )
    media_type: str = strawberry.field(
        description="Its format, told by its content, e.g. `text/html`; empty until a page has been fetched."
    )
    byte_size: int = strawberry.field(description="Size of the original in bytes.")
    status: DocumentStatus = strawberry.field(
        description="Where its newest version stands. The one before stays searchable until that is READY."
    )
    stage: DocumentStage = strawberry.field(description="What is being done for it now.")
    progress: float = strawberry.field(description="0 to 1.")
    attempts: int = strawberry.field(description="How often a worker began to read this version.")
    next_attempt_at: datetime | None = strawberry.field(
        description="When it is tried again, after a failure that may pass; null otherwise."
    )
    failure: str | None = strawberry.field(description="What failed and what to do about it, safe to show.")
    version: int = strawberry.field(
        description="Counts re-ingestions: passages and citations name the version they come from."
    )
    chunk_count: int = strawberry.field(description="Into how many passages it was cut.")
    tags: list[str] = strawberry.field(description="Its tags, by which searches can be filtered.")
    metadata: Metadata = strawberry.field(description="What else is known of it, by which searches can be filtered.")
    created_at: datetime = strawberry.field(description="When it was added.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @classmethod
    def from_row(cls, row: models.Document) -> "Document":
        """Translate."""
        return cls(
            id=global_id("Document", row.id),
            row=row,
            title=row.title,
            source=row.source,
            url=row.url,
            media_type=row.media_type,
            byte_size=row.byte_size,
            status=row.status,
            stage=row.stage,
            progress=row.progress,
            attempts=row.attempts,
            next_attempt_at=row.next_attempt_at,
            failure=row.failure,
            version=row.live_version or row.version,
            chunk_count=row.chunk_count,
            tags=row.tags,
            metadata=Metadata(row.attributes),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="The bot that answers from it.")
    async def bot(self, info: Info) -> Annotated["Bot", strawberry.lazy("kyrochat.graphql.bots")]:
        """Load."""
        return cast("Bot", translate(await info.context.bot(self.row.bot_id), info.context))

    @strawberry.field(
        description="How often its page is read again, in seconds; null: never by itself, or it is not from the web."
    )
    async def refresh_every_seconds(self, info: Info) -> int | None:
        """Load."""
        page = await self._page(info)
        return page.refresh_every_s if page else None

    @strawberry.field(description="When its page was last found to say what it says; null if it is not from the web.")
    async def refreshed_at(self, info: Info) -> datetime | None:
        """Load."""
        page = await self._page(info)
        return page.refreshed_at if page else None

    @strawberry.field(description="When its page is read again by itself, or null.")
    async def next_refresh_at(self, info: Info) -> datetime | None:
        """Load."""
        page = await self._page(info)
        return page.next_refresh_at if page else None

    @strawberry.field(
        description="Why its page could not be read again the last time, and what to do about it; null when it could. "
        "The version from before is still there."
    )
    async def refresh_failure(self, info: Info) -> str | None:
        """Load."""
        page = await self._page(info)
        return page.refresh_failure if page else None

    async def _page(self, info: Info) -> models.WebPage | None:
        return await info.context.web_pages.load(self.row.id) if self.source is DocumentSource.WEB else None

    @strawberry.field(description="The extracted text that offsets in citations refer to; '' until it is ready.")
    async def text(
        self,
        info: Info,
        version: Annotated[
            int | None, strawberry.argument(description="An earlier version; the newest by default.")
        ] = UNSET,
        start: Annotated[int | None, strawberry.argument(description="The first character, from 0.")] = 0,
        end: Annotated[
            int | None, strawberry.argument(description="The character after the last; the text's end by default.")
        ] = UNSET,
    ) -> str:
        """Read."""
        documents = info.context.services.documents
        return await documents.text(
            info.context.viewer,
            self.row,
            if_given(version),
            start or 0,
            if_given(end),
        )


@translate.register
def _(row: models.Document, context: Context) -> Document:
    del context
    return Document.from_row(row)


@strawberry.type(
    description="The receipt of a deleted document. From the deletion on it cannot be found; "
    "`status` says when its content was verified gone."
)
class DocumentDeletion:
    """From models.DocumentDeletion."""

    document_id: strawberry.ID = strawberry.field(description="The id that the document had.")
    status: DocumentDeletionStatus = strawberry.field(description="How far the removal is.")
    chunks_deleted: int = strawberry.field(description="How many passages were removed.")
    vectors_deleted: int = strawberry.field(description="How many vectors were removed.")
    verified_at: datetime | None = strawberry.field(
        description="When a search for what it had found nothing; null until then."
    )

    @classmethod
    def from_row(cls, row: models.DocumentDeletion) -> "DocumentDeletion":
        """Translate."""
        return cls(
            document_id=global_id("Document", row.document_id),
            status=row.status,
            chunks_deleted=row.chunks_deleted,
            vectors_deleted=row.vectors_deleted,
            verified_at=row.verified_at,
        )


@strawberry.type
class DocumentQuery:
    """Queries on documents."""

    @strawberry.field(description="A document of yours, or null.")
    async def document(self, info: Info, id: DocumentId) -> Document | None:
        """Load."""
        row = await info.context.documents.load(row_id("Document", id))
        return Document.from_row(row) if row else None

    @strawberry.field(description="The receipt of a document that you deleted, or null.")
    async def document_deletion(self, info: Info, document_id: DocumentId) -> DocumentDeletion | None:
        """Load."""
        documents = info.context.services.documents
        row = await documents.deletion(info.context.viewer, row_id("Document", document_id))
        return DocumentDeletion.from_row(row) if row else None


@strawberry.type
class DocumentSubscription:
    """Subscriptions to documents."""

    @strawberry.subscription(
        description="A document's state now, then at every change, until it is READY, FAILED or deleted."
    )
    async def document_progress(self, info: Info, id: DocumentId) -> AsyncGenerator[Document, None]:
        """Follow."""
        documents = info.context.services.documents
        async for row in documents.progress(info.context.viewer, row_id("Document", id)):
            yield Document.from_row(row)
