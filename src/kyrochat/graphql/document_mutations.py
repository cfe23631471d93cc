"""Adding, replacing and deleting documents in the schema."""

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry
from starlette.datastructures import UploadFile
from strawberry import UNSET

from kyrochat.graphql.context import Info
from kyrochat.graphql.documents import Document, DocumentDeletion, DocumentId
from kyrochat.graphql.filters import METADATA, TAGS, Metadata, labels, metadata_of
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.optional import if_given
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem, QuotaExceededProblem
from kyrochat.graphql.transport.uploads import Upload

PIECE_BYTES = 256 * 1024


@strawberry.input(description="A text as a document.")
class AddTextDocumentInput:
    """For `addTextDocument`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot that shall answer from it.")
    title: str = strawberry.field(description="How it is called in citations, up to 300 characters.")
    text: str = strawberry.field(description="The text. Requests end at 256 KiB: upload longer texts as a file.")
    tags: list[str] | None = strawberry.field(default=UNSET, description=TAGS)
    metadata: Metadata | None = strawberry.field(default=UNSET, description=METADATA)


@strawberry.input(description="A file as a document.")
class UploadDocumentInput:
    """For `uploadDocument`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot that shall answer from it.")
    file: Upload = strawberry.field(
        description=(
            "PDF, DOCX, PPTX, XLSX, EPUB, EML, HTML, Markdown, CSV, JSON, source code or plain text; "
            "the format is told by the content."
        )
    )
    title: str | None = strawberry.field(default=UNSET, description="By default the file's name.")
    tags: list[str] | None = strawberry.field(default=UNSET, description=TAGS)
    metadata: Metadata | None = strawberry.field(default=UNSET, description=METADATA)


@strawberry.input(description="A new text for a document.")
class ReplaceTextDocumentInput:
    """For `replaceTextDocument`."""

    id: strawberry.ID = strawberry.field(description="The document.")
    text: str = strawberry.field(description="The text. Requests end at 256 KiB: upload longer texts as a file.")
    title: str | None = strawberry.field(default=UNSET, description="A new title; the old one by default.")


@strawberry.input(description="A new file for a document.")
class ReplaceDocumentInput:
    """For `replaceDocument`."""

    id: strawberry.ID = strawberry.field(description="The document.")
    file: Upload = strawberry.field(description="As for `uploadDocument`.")
    title: str | None = strawberry.field(default=UNSET, description="A new title; the old one by default.")


@strawberry.input(description="Changes of a document; what is left out, or null, stays as it is.")
class UpdateDocumentInput:
    """For `updateDocument`."""

    id: strawberry.ID = strawberry.field(description="The document.")
    title: str | None = strawberry.field(
        default=UNSET, description="How it is called in citations, up to 300 characters."
    )
    tags: list[str] | None = strawberry.field(default=UNSET, description=f"All its tags from now on. {TAGS}")
    metadata: Metadata | None = strawberry.field(default=UNSET, description=f"All its metadata from now on. {METADATA}")


AddDocumentResult = Annotated[
    Document | InvalidInputProblem | ConflictProblem | QuotaExceededProblem | NotFoundProblem,
    strawberry.union("AddDocumentResult", description="The document, queued for ingestion, or why there is none."),
]
UpdateDocumentResult = Annotated[
    Document | InvalidInputProblem | NotFoundProblem,
    strawberry.union("UpdateDocumentResult", description="The document as it is now, or why it was not changed."),
]
DeleteDocumentResult = Annotated[
    DocumentDeletion | NotFoundProblem,
    strawberry.union("DeleteDocumentResult", description="The receipt, or there is no such document."),
]


@strawberry.type
class DocumentMutation:
    """Mutations on documents."""

    @strawberry.mutation(description="Add a text; follow its ingestion with `documentProgress`.")
    async def add_text_document(
        self, info: Info, input: Annotated[AddTextDocumentInput, strawberry.argument(description="The document.")]
    ) -> AddDocumentResult:
        """Add."""
        documents = info.context.services.documents
        row = await documents.add_text(
            info.context.viewer,
            row_id("Bot", input.bot_id),
            input.title,
            input.text,
            labels(input.tags, input.metadata),
        )
        return Document.from_row(row)

    @strawberry.mutation(
        description="Upload a file with a GraphQL multipart request; follow its ingestion with `documentProgress`."
    )
    async def upload_document(
        self, info: Info, input: Annotated[UploadDocumentInput, strawberry.argument(description="The document.")]
    ) -> AddDocumentResult:
        """Add."""
        documents = info.context.services.documents
        row = await documents.add_file(
            info.context.viewer,
            row_id("Bot", input.bot_id),
            input.file.filename,
            input.title or None,
            _pieces(input.file),
            labels(input.tags, input.metadata),
        )
        return Document.from_row(row)

    @strawberry.mutation(
        description="Change a document's title, tags or metadata. Searches know tags and metadata at once, and the "
        "words of a new title a moment later."
    )
    async def update_document(
        self, info: Info, input: Annotated[UpdateDocumentInput, strawberry.argument(description="What to change.")]
    ) -> UpdateDocumentResult:
        """Change."""
        row = await info.context.services.relabelling.update(
            info.context.viewer,
            row_id("Document", input.id),
            title=input.title or None,
            tags=if_given(input.tags),
            metadata=metadata_of(input.metadata),
        )
        return Document.from_row(row)

    @strawberry.mutation(
        description="Give a document a new text, as its next version. Searches find the one before until the new one "
        "is READY, and never both; citations keep pointing into the version that they quote."
    )
    async def replace_text_document(
        self,
        info: Info,
        input: Annotated[ReplaceTextDocumentInput, strawberry.argument(description="The document and its text.")],
    ) -> AddDocumentResult:
        """Replace."""
        documents = info.context.services.documents
        row = await documents.replace_text(
            info.context.viewer, row_id("Document", input.id), input.title or None, input.text
        )
        return Document.from_row(row)

    @strawberry.mutation(
        description="Give a document a new file, with a GraphQL multipart request, as `replaceTextDocument` gives it a "
        "new text."
    )
    async def replace_document(
        self,
        info: Info,
        input: Annotated[ReplaceDocumentInput, strawberry.argument(description="The document and its file.")],
    ) -> AddDocumentResult:
        """Replace."""
        documents = info.context.services.documents
        row = await documents.replace_file(
            info.context.viewer,
            row_id("Document", input.id),
            input.file.filename,
            input.title or None,
            _pieces(input.file),
        )
        return Document.from_row(row)

    @strawberry.mutation(description="Queue a FAILED document again.")
    async def retry_document(self, info: Info, id: DocumentId) -> AddDocumentResult:
        """Retry."""
        row = await info.context.services.documents.retry(info.context.viewer, row_id("Document", id))
        return Document.from_row(row)

    @strawberry.mutation(
        description="Delete a document. It cannot be found from now on; a job removes its content, verifies that, "
        "and completes the receipt, which `documentDeletion` shows."
    )
    async def delete_document(self, info: Info, id: DocumentId) -> DeleteDocumentResult:
        """Delete."""
        row = await info.context.services.documents.delete(info.context.viewer, row_id("Document", id))
        return DocumentDeletion.from_row(row)


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE_BYTES):
        yield piece
