"""The jobs that are done for documents."""

from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes, document_topic, ingestion_topic
from kyrochat.db.models import Document
from kyrochat.jobs.queue import PURGE_ATTEMPTS, PURGE_PRIORITY, enqueue

INGEST = "ingest_document"
FETCH = "fetch_page"
CRAWL = "crawl_site"
PURGE_DOCUMENT = "purge_document"
SWEEP_VERSIONS = "sweep_versions"
INDEX_VECTORS = "index_vectors"
# What waits while the ingestion of a bot is paused.
PAUSABLE = (INGEST, FETCH, CRAWL)


def job_key(kind: str, row_id: UUID) -> str:
    """Return the key of the one job of that kind that a document, or a crawl, has."""
    return f"{kind}:{row_id}"


async def queue_job(
    session: AsyncSession, changes: Changes, kind: str, document: Document, *, delay_s: float = 0.0
) -> None:
    """Queue a job for the document as it is now, in the caller's transaction, and tell its followers."""
    # An ingestion may still run for the version before; all else is there once.
    dedupe_key = job_key(kind, document.id)
    dedupe_key = f"{dedupe_key}:{document.version}" if kind == INGEST else dedupe_key
    patience: dict[str, Any] = {} if kind in PAUSABLE else {"max_attempts": PURGE_ATTEMPTS}
    await enqueue(
        session,
        changes,
        workspace_id=document.workspace_id,
        kind=kind,
        # With the bot, whose paused jobs are woken together.
        payload={"document_id": str(document.id), "version": document.version, "bot_id": str(document.bot_id)},
        dedupe_key=dedupe_key,
        priority=PURGE_PRIORITY if kind == PURGE_DOCUMENT else 0,
        delay_s=delay_s,
        **patience,
    )
    await changes.announce(session, [document_topic(document.id), ingestion_topic(document.bot_id)])
