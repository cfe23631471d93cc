"""Removes what was deleted, and verifies that nothing is left before the receipt says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes, document_topic
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Conversation, Document, DocumentDeletion
from kyrochat.db.states import DocumentDeletionStatus
from kyrochat.db.tenancy import Reach
from kyrochat.documents import repository
from kyrochat.documents.storage import FileStore
from kyrochat.documents.vector_index_job import queue_dropping
from kyrochat.jobs.queue import ClaimedJob, complete
from kyrochat.retrieval.ports import VectorRemoval

BATCH_DOCUMENTS = 50
BATCH_CONVERSATIONS = 200


class StillThere(Exception):
    """Something of a deleted document could still be found after its purge."""


@dataclass(frozen=True, slots=True)
class DocumentPurge:
    """The handler of jobs that purge one document."""

    database: Database
    changes: Changes
    store: FileStore
    vectors: VectorRemoval | None = None

    async def __call__(self, job: ClaimedJob) -> None:
        """Remove the document's file and rows, verify that, and complete its receipt.

        Raises:
            StillThere: something was left; the job tries again.
        """
        document_id = UUID(job.payload["document_id"])
        prefix = f"{job.workspace_id}/{document_id}/"
        await self.store.delete_prefix(prefix)
        if await self.store.delete_prefix(prefix):  # deleting once more is the search
            raise StillThere
        vectors = await self.vectors.delete_document(job.workspace_id, document_id) if self.vectors else 0
        async with self.database.begin([job.workspace_id]) as session:
            await complete(session, job)
            # The lock waits for an ingestion's step that is under way; the next step finds the tombstone.
            row = await session.exec(select(Document).where(Document.id == document_id).with_for_update())
            document = row.one_or_none()
            chunks = await repository.delete_chunks(session, document_id)
            await repository.delete_versions(session, document_id)
            if await repository.count_remains(session, document_id):
                raise StillThere
            receipt = await repository.deletion(session, document_id, reach=Reach.of(job.workspace_id))
            if receipt is not None:
                await _verify(session, receipt, chunks, vectors)
            if document is not None:
                await session.delete(document)
            await self.changes.announce(session, [document_topic(document_id)])


@dataclass(frozen=True, slots=True)
class VersionSweep:
    """The handler of jobs that remove what only old versions of a document needed: their files and vectors."""

    database: Database
    store: FileStore
    vectors: VectorRemoval | None = None

    async def __call__(self, job: ClaimedJob) -> None:
        """Remove all but the live version's; texts stay, since citations lead into them."""
        document_id = UUID(job.payload["document_id"])
        async with self.database.begin([job.workspace_id]) as session:
            document = await repository.get(session, document_id, reach=Reach.of(job.workspace_id))
        # One that is being replaced again comes to a sweep of its own.
        if document is None or document.live_version != document.version:
            return
        for key in document.stale_files:
            await self.store.delete(key)
        if self.vectors is not None:
            await self.vectors.delete_document(job.workspace_id, document_id, keep_version=document.version)
        async with self.database.begin([job.workspace_id]) as session:
            await complete(session, job)
            await repository.forget_files(session, document_id, document.stale_files)


async def _verify(session: AsyncSession, receipt: DocumentDeletion, chunks: int, vectors: int) -> None:
    receipt.status = DocumentDeletionStatus.VERIFIED
    receipt.chunks_deleted += chunks
    # Term weights live and die with their chunks, one each; dense vectors come on top.
    receipt.vectors_deleted += chunks + vectors
    receipt.verified_at = (await session.exec(select(func.now()))).one()
    session.add(receipt)


@dataclass(frozen=True, slots=True)
class BotPurge:
    """The handler of jobs that purge a deleted bot with all that it had."""

    database: Database
    changes: Changes
    store: FileStore
    vectors: VectorRemoval | None = None

    async def __call__(self, job: ClaimedJob) -> None:
        """Remove files and documents in batches, then the bot; conversations go with it."""
        bot_id = UUID(job.payload["bot_id"])
        while documents := await self._next_documents(job.workspace_id, bot_id):
            for document in documents:
                await self.store.delete_prefix(f"{job.workspace_id}/{document.id}/")
                if self.vectors is not None:
                    await self.vectors.delete_document(job.workspace_id, document.id)
            async with self.database.begin([job.workspace_id]) as session:
                for document in documents:
                    await session.delete(document)
        while await self._delete_conversations(job.workspace_id, bot_id):
            continue
        async with self.database.begin([job.workspace_id]) as session:
            await queue_dropping(session, self.changes, job.workspace_id, bot_id)
            await session.exec(delete(Bot).where(col(Bot.id) == bot_id))
            await complete(session, job)

    async def _delete_conversations(self, workspace_id: UUID, bot_id: UUID) -> int:
        # In batches: all at once would outlast the time that a statement has.
        async with self.database.begin([workspace_id]) as session:
            some = select(Conversation.id).where(Conversation.bot_id == bot_id).limit(BATCH_CONVERSATIONS)
            return (await session.exec(delete(Conversation).where(col(Conversation.id).in_(some)))).rowcount

    async def _next_documents(self, workspace_id: UUID, bot_id: UUID) -> Sequence[Document]:
        async with self.database.begin([workspace_id]) as session:
            return await repository.of_purged_bot(session, bot_id, BATCH_DOCUMENTS)
