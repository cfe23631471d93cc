"""How an attempt at a document ends that does not make it READY: failed, or queued again."""

import logging
from dataclasses import replace
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes, document_topic, ingestion_topic
from kyrochat.db.engine import Database
from kyrochat.db.models import Document
from kyrochat.db.states import DocumentSource, DocumentStage, DocumentStatus
from kyrochat.documents import repository
from kyrochat.documents.retitling import queue_retitling
from kyrochat.errors import ProviderUnavailable
from kyrochat.jobs.queue import ClaimedJob, GiveUp, postpone
from kyrochat.pauses import spread

# A provider that is away is asked again after this, then after twice as long each time: for three days in all.
FIRST_WAIT_S, LONGEST_WAIT_S, MAX_WAITS = 2.0, 300.0, 1_000

log = logging.getLogger(__name__)


async def fail_document(session: AsyncSession, changes: Changes, job: ClaimedJob, reason: str) -> None:
    """Mark the job's document FAILED, in the transaction that ends the job."""
    document = await repository.lock_for_work(session, *target_of(job))
    if document is None:
        return
    document.status, document.failure, document.next_attempt_at = DocumentStatus.FAILED, reason, None
    if document.source is DocumentSource.WEB and document.live_version is not None:
        # Nobody did anything wrong: the page that was read last stays good, and is read again when its time comes.
        document.status, document.stage, document.progress = DocumentStatus.READY, DocumentStage.DONE, 1.0
        document.failure = None
        await repository.note_refresh_failure(session, document.id, reason)
    if document.live_version is not None:
        # What is searched is still the version before, and may have come under another title.
        await queue_retitling(session, changes, document)
    session.add(document)
    await announce(session, changes, document)


async def wait_for_provider(database: Database, changes: Changes, job: ClaimedJob, error: ProviderUnavailable) -> None:
    """Queue the job again, for days if need be, without an attempt charged: outages, quotas and keys are not its fault.

    Raises:
        GiveUp: it has waited for days.
        LeaseLost: another worker has taken over.
    """
    waits = int(job.payload.get("waits", 0))
    if waits >= MAX_WAITS:
        raise GiveUp(error.message)
    delay_s = spread(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(waits, 20)))
    log.warning("Job %s waits %.0f s for a provider: %s", job.id, delay_s, error.message)
    async with database.begin([job.workspace_id]) as session:
        await postpone(session, job, error.message, delay_s, waits + 1)
        await retry_document(session, changes, replace(job, attempt=job.attempt - 1), error.message, delay_s)


async def retry_document(session: AsyncSession, changes: Changes, job: ClaimedJob, reason: str, delay_s: float) -> None:
    """Say on the job's document why it waits and until when, in the transaction that queues the job again."""
    document = await repository.lock_for_work(session, *target_of(job))
    if document is None:
        return
    document.status, document.stage, document.progress = DocumentStatus.QUEUED, DocumentStage.WAITING, 0.0
    document.failure, document.attempts = f"{reason} It is tried again by itself.", job.attempt
    document.next_attempt_at = await repository.from_now(session, delay_s)
    session.add(document)
    await announce(session, changes, document)


async def announce(session: AsyncSession, changes: Changes, document: Document) -> None:
    """Tell those who follow the document, or all of its bot, when the transaction commits."""
    await changes.announce(session, [document_topic(document.id), ingestion_topic(document.bot_id)])


def target_of(job: ClaimedJob) -> tuple[UUID, int]:
    """Return the document and the version that a job is about."""
    return UUID(job.payload["document_id"]), int(job.payload["version"])
