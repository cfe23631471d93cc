"""Turns a stored file into passages. Every step is written under (document, version) and under the job's lease,
so a retry starts clean, a zombie's step is refused, and the last transaction alone makes the version live."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Chunk, Document
from kyrochat.db.states import DocumentStage, DocumentStatus
from kyrochat.db.tenancy import Reach
from kyrochat.documents import repository
from kyrochat.documents.extraction import Extracted, Extractor
from kyrochat.documents.indexing import tend
from kyrochat.documents.ingest_outcomes import announce, fail_document, target_of, wait_for_provider
from kyrochat.documents.kinds import SWEEP_VERSIONS, queue_job
from kyrochat.documents.reading import MAX_TITLE_CHARS
from kyrochat.documents.resuming import keep_what_fits
from kyrochat.documents.retitling import queue_retitling
from kyrochat.documents.storage import FileStore
from kyrochat.documents.vector_index_job import queue_indexing
from kyrochat.errors import ProviderRefused, ProviderUnavailable, UnreadableDocument
from kyrochat.jobs.queue import ClaimedJob, GiveUp, LeaseLost, complete, hold, park, wake
from kyrochat.retrieval import encoding_repository as encodings
from kyrochat.retrieval import repository as index
from kyrochat.retrieval import vector_repository as vector_sets
from kyrochat.retrieval.chunking import split
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.encodings import ENCODERS, Encoder, Encoders, Encoding
from kyrochat.retrieval.ports import VectorRemoval
from kyrochat.retrieval.types import SparseVector
from kyrochat.retrieval.vector_repository import ChunkText

# About a third of a second of encoding, and one progress event.
BATCH_CHUNKS = 300
# What progress says after each stage; indexing fills what is left.
EXTRACTING, CHUNKED = 0.05, 0.2


class Gone(Exception):
    """The document was deleted or replaced meanwhile: there is nothing left to do."""


class Paused(Exception):
    """The bot's ingestion is paused."""


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The handler of ingestion jobs."""

    database: Database
    changes: Changes
    store: FileStore
    extractor: Extractor
    dense: DenseRetrieval | None = None
    vectors: VectorRemoval | None = None
    encoders: Encoders = ENCODERS

    async def __call__(self, job: ClaimedJob) -> None:
        """Ingest the job's document. A document that cannot be read becomes FAILED, without another attempt.

        Raises:
            LeaseLost: another worker has taken over; nothing of this attempt stays visible.
        """
        try:
            await self._ingest(job)
        except Gone:
            await self._delete_late_vectors(job)
        except Paused:
            await self._park(job)
        except LeaseLost:
            await self._delete_late_vectors(job)
            raise
        except ProviderRefused as error:
            raise GiveUp(error.message) from error
        except ProviderUnavailable as error:
            await wait_for_provider(self.database, self.changes, job, error)
        except UnreadableDocument as error:
            async with self.database.begin([job.workspace_id]) as session:
                await fail_document(session, self.changes, job, error.message)
                await complete(session, job)

    async def _park(self, job: ClaimedJob) -> None:
        """Give the job back until the bot goes on, without an attempt charged."""
        async with self.database.begin([job.workspace_id]) as session:
            document = await repository.lock_for_work(session, *target_of(job))
            if document is None:
                await complete(session, job)
                return
            document.status, document.stage, document.progress = DocumentStatus.QUEUED, DocumentStage.WAITING, 0.0
            document.attempts = job.attempt - 1
            session.add(document)
            await announce(session, self.changes, document)
            await park(session, job)
            if not await bots.is_paused(session, document.bot_id, keep=True):  # it goes on since a moment ago
                await wake(session, self.changes, job.workspace_id, job.kind, document.bot_id)

    async def _ingest(self, job: ClaimedJob) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            document = await self._step(session, job, DocumentStage.READING, EXTRACTING)
            bot = await bots.get(session, document.bot_id, reach=Reach.of(job.workspace_id))
            if bot is None:
                raise Gone
        extracted = await self._extract(job, document)
        chunks = await asyncio.to_thread(_chunks, document, extracted)
        async with self.database.begin([job.workspace_id]) as session:
            stored = await self._step(session, job, DocumentStage.INDEXING, CHUNKED)
            if stored.titled_by_content:
                stored.title = (extracted.title or stored.title)[:MAX_TITLE_CHARS]
            document.title = stored.title  # it may have got another one since it was read
            # Nobody encodes the bot anew meanwhile: what is kept is what this attempt would write.
            encoding = await encodings.live(session, document.bot_id, pinned=True)
            kept = await keep_what_fits(session, document, extracted.text, chunks, encoding)
        for start in range(0, len(chunks), BATCH_CHUNKS):
            batch = chunks[start : start + BATCH_CHUNKS]
            done = CHUNKED + (1 - CHUNKED) * min(0.99, (start + len(batch)) / len(chunks))
            new = [chunk for chunk in batch if chunk.ordinal >= kept]
            encoding = await self._add(job, document, new, done, encoding)
            if self.dense is not None:
                await self.dense.store_chunks(bot.workspace_id, bot.id, [_text(document, chunk) for chunk in batch])
        await tend(self.database, self.changes, bot, self.encoders, added=len(chunks))
        if self.dense is not None:
            await self.dense.settle(bot.workspace_id, bot.id)
        while not await self._go_live_if_complete(job, document, len(chunks)):
            assert self.dense is not None
            await self.dense.complete(bot.workspace_id, bot.id, document.id, document.version)

    async def _go_live_if_complete(self, job: ClaimedJob, document: Document, chunk_count: int) -> bool:
        """Make the version live, unless a set of vectors that the bot got meanwhile lacks those of its chunks."""
        async with self.database.begin([job.workspace_id]) as session:
            if self.dense is not None:
                bot_id, document_id, version = document.bot_id, document.id, document.version
                if not await self.dense.is_complete(session, bot_id, document_id, version):
                    return False
            await self._go_live(session, job, chunk_count, weighed_under=document.title)
        return True

    async def _add(
        self, job: ClaimedJob, document: Document, batch: Sequence[Chunk], progress: float, encoding: Encoding
    ) -> Encoding:
        """Store chunks with vectors of the encoding that is searched, and return which one that is by now."""
        while True:
            vectors = await asyncio.to_thread(_vectors, self.encoders.of(encoding), encoding, document, batch)
            async with self.database.begin([job.workspace_id]) as session:
                await self._step(session, job, DocumentStage.INDEXING, progress)
                searched = await encodings.live(session, document.bot_id, pinned=True)
                if searched == encoding:
                    await index.add_chunks(session, batch, vectors, encoding)
                    return encoding
            encoding = searched  # the bot has been encoded anew since

    async def _delete_late_vectors(self, job: ClaimedJob) -> None:
        """Delete the vectors that came to a deleted document after its purge had looked for them."""
        if self.vectors is None:
            return
        document_id, _ = target_of(job)
        async with self.database.begin([job.workspace_id]) as session:
            is_live = await repository.get(session, document_id, reach=Reach.of(job.workspace_id)) is not None
        if not is_live:
            await self.vectors.delete_document(job.workspace_id, document_id)

    async def _extract(self, job: ClaimedJob, document: Document) -> Extracted:
        with tempfile.TemporaryDirectory(prefix="kyrochat-ingest-", ignore_cleanup_errors=True) as directory:
            # A file, not bytes: a document of 100 MB would take as much memory, once for each worker.
            path = Path(directory) / "file"
            await self._fetch(job, document, path)
            return await self.extractor.extract(path, document.media_type)

    async def _fetch(self, job: ClaimedJob, document: Document, path: Path) -> None:
        try:
            await self.store.download(document.storage_key, path)
        except FileNotFoundError as error:
            async with self.database.begin([job.workspace_id]) as session:
                if await repository.lock_for_work(session, *target_of(job)) is None:
                    raise Gone from error  # its purge was faster than we
            raise UnreadableDocument("The stored file is missing. Delete the document and add it again.") from error

    async def _step(self, session: AsyncSession, job: ClaimedJob, stage: DocumentStage, progress: float) -> Document:
        """Lock the document for one step, under the job's lease, and say how far it is."""
        await hold(session, job)
        document = await repository.lock_for_work(session, *target_of(job))
        if document is None:
            raise Gone
        if await bots.is_paused(session, document.bot_id):
            raise Paused
        document.status, document.stage, document.progress = DocumentStatus.PROCESSING, stage, progress
        document.failure, document.attempts, document.next_attempt_at = None, job.attempt, None
        session.add(document)
        await announce(session, self.changes, document)
        return document

    async def _go_live(self, session: AsyncSession, job: ClaimedJob, chunk_count: int, *, weighed_under: str) -> None:
        document = await self._step(session, job, DocumentStage.DONE, 1.0)
        document.status, document.live_version, document.chunk_count = (
            DocumentStatus.READY,
            document.version,
            chunk_count,
        )
        session.add(document)
        await session.flush()
        # Citations need the texts of old versions, nobody needs their chunks, files and vectors.
        await repository.delete_chunks(session, document.id, keep=document.version)
        if document.version > 1:
            await queue_job(session, self.changes, SWEEP_VERSIONS, document)
        if document.title != weighed_under:
            # A job for that may have been through before the last chunks were there.
            await queue_retitling(session, self.changes, document)
        if self.dense is not None:
            for target in await vector_sets.sets_of_bot(session, document.bot_id):
                await queue_indexing(session, self.changes, target, self.dense.exact_limit)
        await complete(session, job)


def _chunks(document: Document, extracted: Extracted) -> list[Chunk]:
    found = split(extracted.text, markdown=extracted.markdown, page_starts=extracted.page_starts)
    if not found:
        raise UnreadableDocument("The document holds no text.")
    return [
        Chunk(
            # The same in each attempt: vectors that a failed one has stored are replaced, not doubled.
            id=uuid5(document.id, f"{document.version}:{ordinal}"),
            workspace_id=document.workspace_id,
            bot_id=document.bot_id,
            document_id=document.id,
            version=document.version,
            ordinal=ordinal,
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            heading=chunk.heading,
            page=chunk.page,
        )
        for ordinal, chunk in enumerate(found)
    ]


def _vectors(
    encoder: Encoder, encoding: Encoding, document: Document, chunks: Sequence[Chunk]
) -> dict[UUID, SparseVector]:
    return {
        chunk.id: encoder.encode_chunk(document.title, chunk.text, encoding.language, chunk.heading) for chunk in chunks
    }


def _text(document: Document, chunk: Chunk) -> ChunkText:
    return ChunkText(chunk.id, chunk.document_id, chunk.version, document.title, chunk.heading, chunk.text)
