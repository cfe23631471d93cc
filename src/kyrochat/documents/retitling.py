"""Weighs a document anew after its title has changed: that counts twice in its chunks, and is embedded with each."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Document
from kyrochat.documents.indexing import encoded
from kyrochat.jobs.queue import PURGE_ATTEMPTS, ClaimedJob, enqueue, hold
from kyrochat.retrieval import encoding_repository as encodings
from kyrochat.retrieval import repository as index
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.encodings import ENCODERS, Encoders

RETITLE = "retitle_document"


async def queue_retitling(session: AsyncSession, changes: Changes, document: Document) -> None:
    """Queue the job for a document whose title the caller's transaction changes, or whose chunks have an older one.

    Also of a version that is not searched yet: another attempt at it keeps what is there.
    """
    await enqueue(
        session,
        changes,
        workspace_id=document.workspace_id,
        kind=RETITLE,
        payload={"document_id": str(document.id), "bot_id": str(document.bot_id)},
        max_attempts=PURGE_ATTEMPTS,
    )


@dataclass(frozen=True, slots=True)
class Retitling:
    """The handler. One transaction replaces all of a document's term weights: no search meets two titles."""

    database: Database
    dense: DenseRetrieval | None = None
    encoders: Encoders = ENCODERS

    async def __call__(self, job: ClaimedJob) -> None:
        """Encode and embed the document's chunks under the title that it has now.

        Raises:
            LeaseLost: another worker has taken over.
            ProviderUnavailable: they are found by the new title's words, and not yet by its meaning.
        """
        document_id, bot_id = UUID(job.payload["document_id"]), UUID(job.payload["bot_id"])
        while not await self._replaced(job, document_id, bot_id):
            continue  # encoded anew, titled again or purged meanwhile: once more
        if self.dense is not None:
            await self._embed(self.dense, job.workspace_id, document_id, bot_id)

    async def _embed(self, dense: DenseRetrieval, workspace_id: UUID, document_id: UUID, bot_id: UUID) -> None:
        async with self.database.begin([workspace_id]) as session:
            chunks = await encodings.document_chunks(session, document_id)
        await dense.renew(workspace_id, bot_id, [chunk.chunk_id for chunk in chunks])

    async def _replaced(self, job: ClaimedJob, document_id: UUID, bot_id: UUID) -> bool:
        async with self.database.begin([job.workspace_id]) as session:
            live = await encodings.live(session, bot_id)
            chunks = await encodings.document_chunks(session, document_id)
        vectors = await asyncio.to_thread(encoded, self.encoders.of(live), live, chunks)
        async with self.database.begin([job.workspace_id]) as session:
            # Who encodes the bot anew waits, and finds no vectors of the document under its old title then.
            bot = await encodings.bot_for_change(session, bot_id)
            current = await encodings.keep_current(session, chunks) if chunks else []
            if bot is not None and (bot.encoding != live.number or len(current) != len(chunks)):
                return False
            if bot is not None and chunks:
                await encodings.drop_vectors(session, list(vectors))
                places = {chunk.chunk_id: (chunk.document_id, chunk.version) for chunk in chunks}
                await encodings.add_vectors(session, job.workspace_id, bot_id, live, vectors, places)
                # What was found between the change and this was found by the old title.
                await index.count_change(session, bot_id)
            await hold(session, job)
            return True
