"""Use cases of documents: adding, reading, following, deleting."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes, document_topic
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Bot, Document, DocumentDeletion
from kyrochat.db.states import DocumentSource, DocumentStatus
from kyrochat.db.tenancy import Reach
from kyrochat.documents import repository
from kyrochat.documents.incoming import once, peek, safe_name
from kyrochat.documents.media_types import detect
from kyrochat.documents.storage import FileStore
from kyrochat.errors import Conflict, InvalidInput, NotFound, UnreadableDocument
from kyrochat.jobs.queue import PURGE_ATTEMPTS, PURGE_PRIORITY, enqueue
from kyrochat.rules import Rules

MAX_TITLE_CHARS = 300
MAX_TEXT_CHARS = 2_000_000

INGEST = "ingest_document"
PURGE_DOCUMENT = "purge_document"

log = logging.getLogger(__name__)


class SameContent(Conflict):
    """The bot has a document of the very same content."""

    def __init__(self, title: str) -> None:
        super().__init__(f"This bot has the same content already, as the document {title!r}.")
        self.title = title


class NotFailed(Conflict):
    """Only a failed document can be retried."""

    def __init__(self, status: DocumentStatus) -> None:
        super().__init__(f"Only a FAILED document can be retried; this one is {status}.")


@dataclass(frozen=True, slots=True)
class DocumentService:
    """What can be done with documents."""

    database: Database
    changes: Changes
    store: FileStore
    max_upload_bytes: int

    async def add_text(self, viewer: Viewer, bot_id: UUID, title: str, body: str) -> Document:
        """Store a text as a document and queue its ingestion.

        Raises:
            InvalidInput: the title or text is empty or too long.
            NotFound: the viewer has no such bot.
            Forbidden: the viewer may not change it.
            SameContent: the bot has this content.
        """
        rules = Rules()
        title = rules.text("title", title, max_chars=MAX_TITLE_CHARS, min_chars=1)
        # A NUL inside is dropped by the ingestion, as it is from files: nothing else of the text is lost.
        if not 1 <= len(body.strip()) <= MAX_TEXT_CHARS:
            rules.add("text", f"A text has 1 to {MAX_TEXT_CHARS:,} characters that are not white space.")
        rules.enforce()
        return await self._add(viewer, bot_id, title, DocumentSource.TEXT, "text/plain", once(body.encode()))

    async def add_file(
        self, viewer: Viewer, bot_id: UUID, filename: str | None, title: str | None, content: AsyncIterator[bytes]
    ) -> Document:
        """Store a file as a document and queue its ingestion. Its format is told by its content.

        Raises:
            InvalidInput: the title is too long, the file too large, or of a format that cannot be read.
            NotFound, Forbidden, SameContent: as for `add_text`.
        """
        rules = Rules()
        title = rules.text("title", title or safe_name(filename) or "Untitled", max_chars=MAX_TITLE_CHARS, min_chars=1)
        rules.enforce()
        head, content = await peek(content)
        try:
            media_type = detect(head, filename)
        except UnreadableDocument as error:
            raise InvalidInput.at("file", error.message) from error
        return await self._add(viewer, bot_id, title, DocumentSource.UPLOAD, media_type, content)

    async def _add(
        self,
        viewer: Viewer,
        bot_id: UUID,
        title: str,
        source: DocumentSource,
        media_type: str,
        content: AsyncIterator[bytes],
    ) -> Document:
        bot = await self._editable_bot(viewer, bot_id)
        document = Document(
            id=new_id(),
            workspace_id=bot.workspace_id,
            bot_id=bot.id,
            title=title,
            source=source,
            media_type=media_type,
            content_hash=b"",  # both are known when it is stored
        )
        document.storage_key = f"{bot.workspace_id}/{document.id}/1"
        try:
            stored = await self.store.put(document.storage_key, content, self.max_upload_bytes)
            document.byte_size, document.content_hash = stored.size, stored.sha256
            async with self.database.begin([bot.workspace_id]) as session:
                # Storing took its time. From here the bot's purge comes after this row, and so finds the file.
                if not await bots.keep(session, bot.id, reach=Reach.of(bot.workspace_id)):
                    raise NotFound("bot")
                session.add(document)
                await session.flush()
                await session.refresh(document)
                await self._enqueue(session, INGEST, document)
        except BaseException as error:
            # Whatever it was, also the client's leaving: a file without a row would stay for ever.
            try:
                await asyncio.shield(self._delete_unless_stored(bot.workspace_id, document.id))
            except Exception as second:
                log.warning("The file of a refused document stays (%s)", type(second).__name__)
            if isinstance(error, IntegrityError) and "documents_bot_id_content_hash_key" in str(error.orig):
                raise SameContent(await self._title_of(bot, document.content_hash)) from error
            raise
        return document

    async def _delete_unless_stored(self, workspace_id: UUID, document_id: UUID) -> None:
        """Delete the files of a document whose row did not come to be."""
        async with self.database.begin([workspace_id]) as session:
            is_stored = await repository.exists(session, document_id)  # only the commit's answer was lost
        if not is_stored:
            await self.store.delete_prefix(f"{workspace_id}/{document_id}/")

    async def retry(self, viewer: Viewer, document_id: UUID) -> Document:
        """Queue a failed document again.

        Raises:
            NotFound, Forbidden: the viewer has no such document, or may not change it.
            NotFailed: it has not failed.
        """
        async with self.database.begin(viewer.workspaces) as session:
            document = await self._lock(session, viewer, document_id)
            if document.status is not DocumentStatus.FAILED:
                raise NotFailed(document.status)
            document.status, document.progress, document.failure = DocumentStatus.QUEUED, 0.0, None
            await self._enqueue(session, INGEST, document)
            await session.flush()
            await session.refresh(document)
            return document

    async def delete(self, viewer: Viewer, document_id: UUID) -> DocumentDeletion:
        """Make a document unretrievable from now on; a job removes its content, verifies that, and fills the receipt.

        Raises:
            NotFound, Forbidden: the viewer has no such document, or may not change it.
        """
        async with self.database.begin(viewer.workspaces) as session:
            document = await self._lock(session, viewer, document_id)
            document.status, document.deleted_at = DocumentStatus.DELETING, datetime.now(UTC)
            receipt = DocumentDeletion(
                document_id=document.id, workspace_id=document.workspace_id, bot_id=document.bot_id
            )
            session.add(receipt)
            record(
                session,
                AuditAct.DOCUMENT_DELETED,
                viewer,
                workspace_id=document.workspace_id,
                of=("Document", document.id),
            )
            await self._enqueue(session, PURGE_DOCUMENT, document)
            await session.flush()
            await session.refresh(receipt)
            return receipt

    async def deletion(self, viewer: Viewer, document_id: UUID) -> DocumentDeletion | None:
        """Return the receipt of a deleted document, or None."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.deletion(session, document_id, reach=viewer.reach)

    async def get(self, viewer: Viewer, document_id: UUID) -> Document | None:
        """Return the document, or None when the viewer has no such document."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.get(session, document_id, reach=viewer.reach)

    async def many(self, viewer: Viewer, document_ids: Sequence[UUID]) -> Sequence[Document]:
        """Return those of the documents that the viewer has, in no order."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.many(session, document_ids, reach=viewer.reach)

    async def page(
        self, viewer: Viewer, bot_id: UUID, request: PageRequest, status: DocumentStatus | None
    ) -> Page[Document]:
        """Return one page of a bot's documents, newest first."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.page_of(session, bot_id, request, reach=viewer.reach, status=status)

    async def count(self, viewer: Viewer, bot_id: UUID, status: DocumentStatus | None) -> int:
        """Return how many documents `page` leads through."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.count(session, bot_id, reach=viewer.reach, status=status)

    async def text(self, viewer: Viewer, document: Document, version: int | None, start: int, end: int | None) -> str:
        """Return characters [start, end) of the extracted text of a version, by default the live one.

        A document that is not ready yet has no text: ''.

        Raises:
            InvalidInput: the range is not one.
            NotFound: there is no such version.
        """
        rules = Rules()
        rules.number("start", start, least=0, most=MAX_TEXT_CHARS)
        if end is not None:
            rules.number("end", end, least=start, most=MAX_TEXT_CHARS)
        rules.enforce()
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            wanted = (document.live_version or 0) if version is None else version
            found = await repository.excerpt(session, document.id, wanted, start, end)
        if found is None and version is not None:
            raise NotFound("version of the document")
        return found or ""

    async def progress(self, viewer: Viewer, document_id: UUID) -> AsyncGenerator[Document, None]:
        """Yield the document as it is now, then at every change, until it is READY, FAILED or deleted.

        Raises:
            NotFound: the viewer has no such document.
        """
        seen = None
        with self.changes.watch(document_topic(document_id)) as bell:
            while True:
                document = await self.get(viewer, document_id)
                if document is None and seen is None:
                    raise NotFound("document")
                if document is None:
                    return
                state = (document.status, document.progress, document.failure, document.version)
                if state != seen:
                    seen = state
                    yield document
                if document.status in (DocumentStatus.READY, DocumentStatus.FAILED):
                    return
                await bell.wait()

    async def _editable_bot(self, viewer: Viewer, bot_id: UUID) -> Bot:
        async with self.database.begin(viewer.workspaces) as session:
            bot = await bots.get(session, bot_id, reach=viewer.reach)
        if bot is None:
            raise NotFound("bot")
        viewer.must(Act.INGEST, bot.workspace_id)
        return bot

    async def _lock(self, session: AsyncSession, viewer: Viewer, document_id: UUID) -> Document:
        document = await repository.get(session, document_id, reach=viewer.reach, for_update=True)
        if document is None:
            raise NotFound("document")
        viewer.must(Act.INGEST, document.workspace_id)
        return document

    async def _enqueue(self, session: AsyncSession, kind: str, document: Document) -> None:
        await enqueue(
            session,
            self.changes,
            workspace_id=document.workspace_id,
            kind=kind,
            payload={"document_id": str(document.id), "version": document.version},
            dedupe_key=f"{kind}:{document.id}",
            **({"priority": PURGE_PRIORITY, "max_attempts": PURGE_ATTEMPTS} if kind == PURGE_DOCUMENT else {}),
        )
        await self.changes.announce(session, [document_topic(document.id)])

    async def _title_of(self, bot: Bot, content_hash: bytes) -> str:
        async with self.database.begin([bot.workspace_id]) as session:
            document = await repository.by_content(session, bot.id, content_hash)
        return document.title if document else "that was deleted just now"
