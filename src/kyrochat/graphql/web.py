"""Documents from the web in the schema."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.graphql.context import Info
from kyrochat.graphql.document_mutations import AddDocumentResult
from kyrochat.graphql.documents import Document, DocumentId
from kyrochat.graphql.filters import METADATA, TAGS, Metadata, labels
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.optional import if_given

REFRESH = "How often the page is read again, in seconds: 60 to 31,622,400. Left out or null: never by itself."


@strawberry.input(description="A page of the web as a document.")
class AddWebDocumentInput:
    """For `addWebDocument`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot that shall answer from it.")
    url: str = strawberry.field(description="The page's address, beginning with https:// or http://.")
    title: str | None = strawberry.field(
        default=UNSET, description="How it is called in citations, up to 300 characters. By default what the page says."
    )
    refresh_every_seconds: int | None = strawberry.field(default=UNSET, description=REFRESH)
    tags: list[str] | None = strawberry.field(default=UNSET, description=TAGS)
    metadata: Metadata | None = strawberry.field(default=UNSET, description=METADATA)


@strawberry.input(description="How often a document from the web is read again.")
class ScheduleRefreshInput:
    """For `scheduleRefresh`."""

    document_id: strawberry.ID = strawberry.field(description="The document.")
    refresh_every_seconds: int | None = strawberry.field(default=UNSET, description=REFRESH)


@strawberry.type
class WebMutation:
    """Mutations on documents from the web."""

    @strawberry.mutation(
        description="Add a page of the web. A worker fetches it, as the site's robots.txt permits; follow it with "
        "`documentProgress`."
    )
    async def add_web_document(
        self, info: Info, input: Annotated[AddWebDocumentInput, strawberry.argument(description="The document.")]
    ) -> AddDocumentResult:
        """Add."""
        every_s = if_given(input.refresh_every_seconds)
        row = await info.context.services.web_documents.add(
            info.context.viewer,
            row_id("Bot", input.bot_id),
            input.url,
            input.title or None,
            every_s,
            labels(input.tags, input.metadata),
        )
        return Document.from_row(row)

    @strawberry.mutation(
        description="Read a document's page again now. A changed one becomes the next version; if it cannot be read, "
        "the document stays as it is, and `refreshFailure` says why."
    )
    async def refresh_document(self, info: Info, id: DocumentId) -> AddDocumentResult:
        """Refresh."""
        row = await info.context.services.web_documents.refresh(info.context.viewer, row_id("Document", id))
        return Document.from_row(row)

    @strawberry.mutation(description="Set how often a document's page is read again.")
    async def schedule_refresh(
        self, info: Info, input: Annotated[ScheduleRefreshInput, strawberry.argument(description="How often.")]
    ) -> AddDocumentResult:
        """Schedule."""
        every_s = if_given(input.refresh_every_seconds)
        row = await info.context.services.web_documents.schedule(
            info.context.viewer, row_id("Document", input.document_id), every_s
        )
        return Document.from_row(row)
