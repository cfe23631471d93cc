"""A document and the page behind it: how both begin, take what was fetched, and are read again."""

from hashlib import sha256
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes, document_topic, ingestion_topic
from kyrochat.db.models import Document, WebPage
from kyrochat.db.states import DocumentSource
from kyrochat.documents import repository as documents
from kyrochat.documents.intake import start_over
from kyrochat.documents.kinds import FETCH, job_key, queue_job
from kyrochat.documents.labels import Labels
from kyrochat.documents.reading import MAX_TITLE_CHARS
from kyrochat.documents.web.content import Content
from kyrochat.jobs.queue import ClaimedJob, dequeue, park, wake
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import Validators


def new_rows(
    document_id: UUID,
    workspace_id: UUID,
    bot_id: UUID,
    address: WebAddress,
    title: str,
    refresh_every_s: int | None,
    labels: Labels,
) -> tuple[Document, WebPage]:
    """Return the rows of a page that was not fetched yet; without a title it is called by its address."""
    document = Document(
        id=document_id,
        workspace_id=workspace_id,
        bot_id=bot_id,
        title=title or str(address).partition("://")[2][:MAX_TITLE_CHARS],
        titled_by_content=not title,
        source=DocumentSource.WEB,
        url=str(address),
        # Unlike any content's.
        content_hash=sha256(f"not fetched: {document_id}".encode()).digest(),
        tags=list(labels.tags),
        attributes=dict(labels.metadata),
    )
    page = WebPage(
        document_id=document_id,
        workspace_id=workspace_id,
        bot_id=bot_id,
        address=str(address),
        refresh_every_s=refresh_every_s,
    )
    return document, page


def take(document: Document, page: WebPage, content: Content, storage_key: str, validators: Validators) -> None:
    """Let the document be what was fetched, as its next version, to be read from the beginning."""
    if document.storage_key:
        # Needed until the new version is live: then its sweep deletes it. The first one has its number already.
        document.stale_files = [*document.stale_files, document.storage_key]
        document.version += 1
    document.storage_key = storage_key
    document.url, document.media_type = validators.address, content.media_type
    document.byte_size, document.content_hash = len(content.body), content.sha256
    start_over(document)
    note_validators(page, validators)


def note_validators(page: WebPage, validators: Validators) -> None:
    """Keep what tells the fetched version from later ones."""
    page.validated_address, page.etag, page.last_modified = (
        validators.address,
        validators.etag,
        validators.last_modified,
    )


def known(document: Document, page: WebPage) -> Validators | None:
    """Return what a server may be asked with; None when even the same content would have to be read."""
    if document.live_version != document.version or page.validated_address is None:
        return None
    return Validators(page.validated_address, page.etag, page.last_modified)


async def queue_fetch(session: AsyncSession, changes: Changes, document: Document) -> None:
    """Have the page fetched now rather than when it was planned; nothing happens when that is under way."""
    await dequeue(session, job_key(FETCH, document.id))
    await queue_job(session, changes, FETCH, document)


async def plan_next(session: AsyncSession, changes: Changes, document: Document, page: WebPage) -> None:
    """Have the page fetched again when its time comes, if it has one. No job that fetches it may be under way."""
    await dequeue(session, job_key(FETCH, document.id))
    page.next_refresh_at = None
    if page.refresh_every_s is not None:
        page.next_refresh_at = await documents.from_now(session, page.refresh_every_s)
        await queue_job(session, changes, FETCH, document, delay_s=page.refresh_every_s)
    session.add(page)


async def park_while_paused(session: AsyncSession, changes: Changes, job: ClaimedJob, bot_id: UUID) -> None:
    """Give the job back until its bot goes on, without an attempt charged."""
    await park(session, job)
    if not await bots.is_paused(session, bot_id, keep=True):  # it goes on since a moment ago
        await wake(session, changes, job.workspace_id, job.kind, bot_id)


async def announce(session: AsyncSession, changes: Changes, document: Document) -> None:
    """Tell whoever follows the document, or all of its bot's."""
    await changes.announce(session, [document_topic(document.id), ingestion_topic(document.bot_id)])
