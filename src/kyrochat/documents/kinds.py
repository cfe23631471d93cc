"""The jobs that are done for documents."""

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes, document_topic, ingestion_topic
from kyrochat.db.models import Document
from kyrochat.jobs.queue import PURGE_ATTEMPTS, PURGE_PRIORITY, enqueue

INGEST = "ingest_document"
PURGE_DOCUMENT = "purge_document"
SWEEP_VERSIONS = "sweep_versions"


async def queue_job(session: AsyncSession, changes: Changes, kind: str, document: Document) -> None:
    """Queue a job for the document as it is now, in the caller's transaction, and tell its followers."""
    # An ingestion may still run for the version before; a purge or a sweep is there once.
    dedupe_key = f"{kind}:{document.id}:{document.version}" if kind == INGEST else f"{kind}:{document.id}"
    patience: dict[str, Any] = {} if kind == INGEST else {"max_attempts": PURGE_ATTEMPTS}
    await enqueue(
        session,
        changes,
        workspace_id=document.workspace_id,
        kind=kind,
        # With the bot, whose paused jobs are woken together.
        payload={"document_id": str(document.id), "version": document.version, "bot_id": str(document.bot_id)},
        dedupe_key=dedupe_key,
        priority=PURGE_PRIORITY if kind == PURGE_DOCUMENT else 0,
        **patience,
    )
    await changes.announce(session, [document_topic(document.id), ingestion_topic(document.bot_id)])
