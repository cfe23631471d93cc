"""Use cases of documents: adding, reading, following, deleting."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.db.changes import ingestion_topic
from kyrochat.db.columns import new_id
from kyrochat.db.models import Bot, Document, DocumentDeletion
from kyrochat.db.states import DocumentSource, DocumentStatus
from kyrochat.documents import repository
from kyrochat.documents.incoming import once, peek, safe_name
from kyrochat.documents.intake import UNLIMITED, Intake, Quota, start_over
from kyrochat.documents.kinds import FETCH, INGEST, PAUSABLE, PURGE_DOCUMENT, job_key, queue_job
from kyrochat.documents.labels import NO_LABELS, Labels, checked_labels
from kyrochat.documents.media_types import detect
from kyrochat.documents.reading import MAX_TEXT_CHARS, MAX_TITLE_CHARS, DocumentReader
from kyrochat.documents.storage import FileStore
from kyrochat.errors import Conflict, InvalidInput, NotFound, UnreadableDocument
from kyrochat.jobs.queue import dequeue, wake
from kyrochat.rates.limits import UPLOADS_PER_USER
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.rules import Rules


class NotFailed(Conflict):
    """Only a failed document can be retried."""

    def __init__(self, status: DocumentStatus) -> None:
        super().__init__(f"Only a FAILED document can be retried; this one is {status}.")


class FromTheWeb(Conflict):
    """What a document from the web says is for its page to say."""

    def __init__(self) -> None:
        super().__init__(
            "This document is a page of the web, and changes with it. Use refreshDocument to read it again."
        )


@dataclass(frozen=True, slots=True)
class DocumentService(DocumentReader):
    """What can be done with documents."""

    store: FileStore
    max_upload_bytes: int
    quota: Quota = UNLIMITED
    rates: Rates = NO_LIMITS

    async def add_text(
        self, viewer: Viewer, bot_id: UUID, title: str, body: str, labels: Labels = NO_LABELS
    ) -> Document:
        """Store a text as a document and queue its ingestion.

        Raises:
            InvalidInput: the title or text is empty or too long, or a label breaks a rule.
            NotFound: the viewer has no such bot.
            Forbidden: the viewer may not change it.
            QuotaExceeded: the workspace is full.
            SameContent: the bot has this content.
            RateLimited: the viewer has added too many documents.
        """
        rules = Rules()
        title = rules.text("title", title, max_chars=MAX_TITLE_CHARS, min_chars=1)
        _check_text(rules, body)
        labels = checked_labels(rules, labels)
        rules.enforce()
        return await self._add(viewer, bot_id, title, labels, DocumentSource.TEXT, "text/plain", once(body.encode()))

    async def add_file(
        self,
        viewer: Viewer,
        bot_id: UUID,
        filename: str | None,
        title: str | None,
        content: AsyncIterator[bytes],
        labels: Labels = NO_LABELS,
    ) -> Document:
        """Store a file as a document and queue its ingestion. Its format is told by its content.

        Raises:
            InvalidInput: the title is too long, the file too large, or of a format that cannot be read; or a label
                breaks a rule.
            NotFound, Forbidden, QuotaExceeded, SameContent, RateLimited: as for `add_text`.
        """
        rules = Rules()
        title = rules.text("title", title or safe_name(filename) or "Untitled", max_chars=MAX_TITLE_CHARS, min_chars=1)
        labels = checked_labels(rules, labels)
        rules.enforce()
        media_type, content = await _detect(filename, content)
        return await self._add(viewer, bot_id, title, labels, DocumentSource.UPLOAD, media_type, content)

    async def _add(
        self,
        viewer: Viewer,
        bot_id: UUID,
        title: str,
        labels: Labels,
        source: DocumentSource,
        media_type: str,
        content: AsyncIterator[bytes],
    ) -> Document:
        await self.rates.charge(UPLOADS_PER_USER, viewer.counted_as)
        bot = await self._editable_bot(viewer, bot_id)
        document = Document(
            id=new_id(),
            workspace_id=bot.workspace_id,
            bot_id=bot.id,
            title=title,
            source=source,
            media_type=media_type,
            content_hash=b"",  # known when it is stored
            tags=list(labels.tags),
            attributes=dict(labels.metadata),
        )
        return await self._intake.add(document, content)

    @property
    def _intake(self) -> Intake:
        return Intake(self.database, self.changes, self.store, self.max_upload_bytes, self.quota)

    async def replace_text(self, viewer: Viewer, document_id: UUID, title: str | None, body: str) -> Document:
        """Give a document a new text, as its next version; the one before is searched until it has been read.

        Raises:
            InvalidInput, QuotaExceeded, SameContent, RateLimited: as for `add_text`.
            NotFound, Forbidden: the viewer has no such document, or may not change it.
            FromTheWeb: its page says what is in it.
        """
        rules = Rules()
        title = None if title is None else rules.text("title", title, max_chars=MAX_TITLE_CHARS, min_chars=1)
        _check_text(rules, body)
        rules.enforce()
        await self.rates.charge(UPLOADS_PER_USER, viewer.counted_as)
        document = await self._replaceable(viewer, document_id)
        return await self._intake.replace(viewer, document, "text/plain", title, once(body.encode()))

    async def replace_file(
        self, viewer: Viewer, document_id: UUID, filename: str | None, title: str | None, content: AsyncIterator[bytes]
    ) -> Document:
        """Give a document a new file, as `replace_text` gives it a new text.

        Raises:
            InvalidInput, NotFound, Forbidden, QuotaExceeded, SameContent, RateLimited: as for `replace_text`.
            FromTheWeb: as for `replace_text`.
        """
        rules = Rules()
        title = None if title is None else rules.text("title", title, max_chars=MAX_TITLE_CHARS, min_chars=1)
        rules.enforce()
        await self.rates.charge(UPLOADS_PER_USER, viewer.counted_as)
        document = await self._replaceable(viewer, document_id)
        media_type, content = await _detect(filename, content)
        return await self._intake.replace(viewer, document, media_type, title, content)

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
            start_over(document)
            session.add(document)
            if document.source is DocumentSource.WEB:
                # What failed may have been the site, and what can be read there may have changed.
                await dequeue(session, job_key(FETCH, document.id))
                await queue_job(session, self.changes, FETCH, document)
            else:
                await queue_job(session, self.changes, INGEST, document)
            await session.flush()
            await session.refresh(document)
            return document

    async def pause(self, viewer: Viewer, bot_id: UUID) -> Bot:
        """Let no document of a bot be read any more until `resume`; those that are being read stop at their next step.

        Raises:
            NotFound, Forbidden: the viewer has no such bot, or may not change it.
        """
        return await self._set_paused(viewer, bot_id, paused=True)

    async def resume(self, viewer: Viewer, bot_id: UUID) -> Bot:
        """Go on after `pause`.

        Raises:
            NotFound, Forbidden: as for `pause`.
        """
        return await self._set_paused(viewer, bot_id, paused=False)

    async def _set_paused(self, viewer: Viewer, bot_id: UUID, *, paused: bool) -> Bot:
        async with self.database.begin(viewer.workspaces) as session:
            bot = await bots.get(session, bot_id, reach=viewer.reach, for_update=True)
            if bot is None:
                raise NotFound("bot")
            viewer.must(Act.INGEST, bot.workspace_id)
            bot.ingestion_paused = paused
            session.add(bot)
            await session.flush()
            if not paused:
                for kind in PAUSABLE:
                    await wake(session, self.changes, bot.workspace_id, kind, bot.id)
            await self.changes.announce(session, [ingestion_topic(bot.id)])
            await session.refresh(bot)
            return bot

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
            await repository.forget_address(session, document.id)
            record(
                session,
                AuditAct.DOCUMENT_DELETED,
                viewer,
                workspace_id=document.workspace_id,
                of=("Document", document.id),
            )
            await queue_job(session, self.changes, PURGE_DOCUMENT, document)
            await session.flush()
            await session.refresh(receipt)
            return receipt

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

    async def _replaceable(self, viewer: Viewer, document_id: UUID) -> Document:
        document = await self.get(viewer, document_id)
        if document is None:
            raise NotFound("document")
        viewer.must(Act.INGEST, document.workspace_id)
        if document.source is DocumentSource.WEB:
            raise FromTheWeb
        return document


async def _detect(filename: str | None, content: AsyncIterator[bytes]) -> tuple[str, AsyncIterator[bytes]]:
    head, content = await peek(content)
    try:
        return detect(head, filename), content
    except UnreadableDocument as error:
        raise InvalidInput.at("file", error.message) from error


def _check_text(rules: Rules, body: str) -> None:
    # A NUL inside is dropped by the ingestion, as it is from files: nothing else of the text is lost.
    if not 1 <= len(body.strip()) <= MAX_TEXT_CHARS:
        rules.add("text", f"A text has 1 to {MAX_TEXT_CHARS:,} characters that are not white space.")
