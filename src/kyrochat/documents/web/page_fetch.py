"""The job that fetches a page: for the first time, or again, where a page that has not changed costs nothing more."""

from asyncio import to_thread
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Document, WebPage
from kyrochat.db.states import DocumentStage, DocumentStatus
from kyrochat.documents import repository as documents
from kyrochat.documents.extraction import Extractor
from kyrochat.documents.incoming import once
from kyrochat.documents.intake import UNLIMITED, Quota, check_room, start_over
from kyrochat.documents.kinds import INGEST, queue_job
from kyrochat.documents.storage import FileStore
from kyrochat.documents.web import repository
from kyrochat.documents.web.content import Content, content_of
from kyrochat.documents.web.manners import Visitor
from kyrochat.documents.web.pages import announce, known, note_validators, park_while_paused, plan_next, take
from kyrochat.errors import FetchFailed, QuotaExceeded, UnreadableDocument
from kyrochat.jobs.queue import ClaimedJob, LeaseLost, RetryLater, complete, hold
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import Fetched, Unchanged, Validators

FETCHING = 0.02
# 5 s, 20 s, 80 s and 320 s after the first attempts; later if the server says so.
FIRST_PAUSE_S, PAUSE_FACTOR, MAX_PAUSE_S = 5.0, 4.0, 3600.0


class Gone(Exception):
    """The document was deleted: there is nothing left to do."""


class _Paused(Exception):
    """The bot's ingestion is paused."""


@dataclass(frozen=True, slots=True)
class PageFetch:
    """The handler of jobs that fetch the page of one document."""

    database: Database
    changes: Changes
    store: FileStore
    visitor: Visitor
    extractor: Extractor
    quota: Quota = UNLIMITED

    async def __call__(self, job: ClaimedJob) -> None:
        """Fetch the page and, if it is new, queue its ingestion. The address is checked now, whatever it was before.

        Raises:
            RetryLater: the site could not be reached, or was busy.
            LeaseLost: another worker has taken over.
        """
        try:
            await self._fetch(job)
        except Gone:
            # Its purge may have looked for files before this attempt stored one.
            await self.store.delete_prefix(f"{job.workspace_id}/{_target(job)}/")
        except _Paused:
            await self._park(job)
        except FetchFailed as error:
            if error.retryable:
                raise RetryLater(error.message, pause_s(job.attempt, error.retry_after_s)) from error
            await self._give_up(job, error.message)
        except (UnreadableDocument, QuotaExceeded) as error:
            await self._give_up(job, error.message)

    async def _fetch(self, job: ClaimedJob) -> None:
        document, page = await self._begin(job)
        found = await self.visitor.fetch(WebAddress.parse(page.address), known(document, page))
        if isinstance(found, Unchanged):
            await self._settle_unchanged(job, None)
            return
        content = await to_thread(content_of, found)
        if document.live_version == document.version and await self._is_same(document, content):
            await self._settle_unchanged(job, found.validators)
            return
        await self._settle_changed(job, found, content)

    async def _begin(self, job: ClaimedJob) -> tuple[Document, WebPage]:
        async with self.database.begin([job.workspace_id]) as session:
            await hold(session, job)
            document, page = await _locked(session, job)
            if await bots.is_paused(session, document.bot_id):
                raise _Paused
            if document.live_version is None:
                document.status, document.stage = DocumentStatus.PROCESSING, DocumentStage.FETCHING
                document.progress, document.failure = FETCHING, None
                document.attempts, document.next_attempt_at = job.attempt, None
                session.add(document)
                await announce(session, self.changes, document)
            return document, page

    async def _is_same(self, document: Document, content: Content) -> bool:
        """Say whether the live version has this content, or at least this text.

        Few pages are the same twice, byte by byte, but what changes is mostly no text: tokens, dates, banners.

        Raises:
            UnreadableDocument: no text can be had of it any more.
        """
        if content.sha256 == document.content_hash:
            return True
        extracted = await self.extractor.extract(content.body, content.media_type)
        async with self.database.begin([document.workspace_id]) as session:
            text = await documents.excerpt(session, document.id, document.version, 0, None)
        return extracted.text == text

    async def _settle_unchanged(self, job: ClaimedJob, validators: Validators | None) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            await complete(session, job)
            document, page = await _locked(session, job)
            if validators is not None:
                note_validators(page, validators)
            await self._settle(session, document, page)

    async def _settle_changed(self, job: ClaimedJob, found: Fetched, content: Content) -> None:
        # Under the lease's name: an attempt that has lost it cannot write over what its successor stored.
        storage_key = f"{job.workspace_id}/{_target(job)}/{job.lease_token}"
        await self.store.put(storage_key, once(content.body), len(content.body))
        try:
            async with self.database.begin([job.workspace_id]) as session:
                await complete(session, job)
                document, page = await _locked(session, job)
                take(document, page, content, storage_key, found.validators)
                session.add(document)
                await session.flush()
                await check_room(session, self.quota, document.workspace_id)
                await queue_job(session, self.changes, INGEST, document)
                await self._settle(session, document, page)
        except (LeaseLost, QuotaExceeded):
            await self.store.delete(storage_key)
            raise
        except IntegrityError as error:
            await self.store.delete(storage_key)
            if "documents_bot_id_content_hash_key" not in str(error.orig):
                raise
            raise UnreadableDocument(await self._same_content(job, content)) from error

    async def _settle(self, session: AsyncSession, document: Document, page: WebPage) -> None:
        page.refreshed_at, page.refresh_failure = await documents.from_now(session, 0), None
        await plan_next(session, self.changes, document, page)
        await announce(session, self.changes, document)

    async def _same_content(self, job: ClaimedJob, content: Content) -> str:
        async with self.database.begin([job.workspace_id]) as session:
            document, _ = await _locked(session, job)
            return same_content(await documents.by_content(session, document.bot_id, content.sha256))

    async def _give_up(self, job: ClaimedJob, reason: str) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            await complete(session, job)
            await note_failure(session, self.changes, job, reason)

    async def _park(self, job: ClaimedJob) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            found = await repository.lock(session, _target(job))
            if found is None:
                await complete(session, job)
            else:
                await park_while_paused(session, self.changes, job, found[0].bot_id)


async def note_failure(session: AsyncSession, changes: Changes, job: ClaimedJob, reason: str) -> None:
    """Say on the document that its page could not be fetched, in the transaction that ends the job.

    A document that was read before stays what it was; the reason is noted beside it. It is tried again
    when its time comes.
    """
    found = await repository.lock(session, _target(job))
    if found is None:
        return
    document, page = found
    if document.live_version is None:
        document.status, document.failure, document.next_attempt_at = DocumentStatus.FAILED, reason, None
    else:
        page.refresh_failure = reason
    session.add(document)
    await plan_next(session, changes, document, page)
    await announce(session, changes, document)


async def note_retry(session: AsyncSession, changes: Changes, job: ClaimedJob, reason: str, delay_s: float) -> None:
    """Say on a document that was never read why it waits and until when, in the transaction that queues the job."""
    found = await repository.lock(session, _target(job))
    if found is None or found[0].live_version is not None:
        return
    document = found[0]
    start_over(document)
    document.failure, document.attempts = f"{reason} It is tried again by itself.", job.attempt
    document.next_attempt_at = await documents.from_now(session, delay_s)
    session.add(document)
    await announce(session, changes, document)


def same_content(other: Document | None) -> str:
    """Return the reason why a page does not become a document, or a version of one."""
    named = f"as the document {other.title!r}" if other else "as another document"
    return f"The page has the same content {named}."


def pause_s(attempt: int, retry_after_s: float | None = None) -> float:
    """Return how long to leave a site alone after so many attempts, the server's own wish included."""
    return min(max(FIRST_PAUSE_S * PAUSE_FACTOR ** (attempt - 1), retry_after_s or 0.0), MAX_PAUSE_S)


async def _locked(session: AsyncSession, job: ClaimedJob) -> tuple[Document, WebPage]:
    found = await repository.lock(session, _target(job))
    if found is None:
        raise Gone
    return found


def _target(job: ClaimedJob) -> UUID:
    return UUID(job.payload["document_id"])
