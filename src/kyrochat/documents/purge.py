"""Removes what was deleted, and verifies that nothing is left before the receipt says so."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes, document_topic
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Document, DocumentDeletion
from kyrochat.db.states import DocumentDeletionStatus
from kyrochat.documents import repository
from kyrochat.documents.storage import FileStore
from kyrochat.jobs.queue import ClaimedJob, complete

BATCH_DOCUMENTS = 50


class StillThere(Exception):
    """Something of a deleted document could still be found after its purge."""


@dataclass(frozen=True, slots=True)
class DocumentPurge:
    """The handler of jobs that purge one document."""

    database: Database
    changes: Changes
    store: FileStore

    async def __call__(self, job: ClaimedJob) -> None:
        """Remove the document's file and rows, verify that, and complete its receipt.

        Raises:
            StillThere: something was left; the job tries again.
        """
        document_id = UUID(job.payload["document_id"])
        prefix = f"{job.workspace_id}/{document_id}/"
        await self.store.delete_prefix(prefix)
        async with self.database.begin([job.workspace_id]) as session:
            # The lock waits for an ingestion's step that is under way; the next step finds the tombstone.
            row = await session.exec(select(Document).where(Document.id == document_id).with_for_update())
            document = row.one_or_none()
            chunks = await repository.delete_chunks(session, document_id)
            await repository.delete_versions(session, document_id)
            # Deleting once more is the search: it says how many files there were.
            if await repository.count_remains(session, document_id) or await self.store.delete_prefix(prefix):
                raise StillThere
            receipt = await repository.deletion(session, document_id, workspaces=[job.workspace_id])
            if receipt is not None:
                await _verify(session, receipt, chunks)
            if document is not None:
                await session.delete(document)
            await self.changes.announce(session, [document_topic(document_id)])
            await complete(session, job)


async def _verify(session: AsyncSession, receipt: DocumentDeletion, chunks: int) -> None:
    receipt.status = DocumentDeletionStatus.VERIFIED
    receipt.chunks_deleted += chunks
    # Term weights live and die with their chunks; each chunk has one.
    receipt.vectors_deleted += chunks
    receipt.verified_at = (await session.exec(select(func.now()))).one()
    session.add(receipt)


@dataclass(frozen=True, slots=True)
class BotPurge:
    """The handler of jobs that purge a deleted bot with all that it had."""

    database: Database
    store: FileStore

    async def __call__(self, job: ClaimedJob) -> None:
        """Remove files and documents in batches, then the bot; conversations go with it."""
        bot_id = UUID(job.payload["bot_id"])
        while True:
            async with self.database.begin([job.workspace_id]) as session:
                documents = await repository.of_purged_bot(session, bot_id, BATCH_DOCUMENTS)
                for document in documents:
                    await self.store.delete_prefix(f"{job.workspace_id}/{document.id}/")
                    await session.delete(document)
            if not documents:
                break
        async with self.database.begin([job.workspace_id]) as session:
            await session.exec(delete(Bot).where(col(Bot.id) == bot_id))
            await complete(session, job)
