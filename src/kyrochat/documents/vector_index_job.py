"""The job that gives large sets of vectors their index, while searches and ingestion go on."""

from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import VectorSet
from kyrochat.db.states import VectorStore
from kyrochat.documents.kinds import INDEX_VECTORS, job_key
from kyrochat.jobs.queue import ClaimedJob, enqueue
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.retrieval.vector_search import is_indexed


@dataclass(frozen=True, slots=True)
class IndexVectors:
    """The handler of jobs that see to the indexes of a bot's vectors."""

    database: Database
    indexing: VectorIndexing

    async def __call__(self, job: ClaimedJob) -> None:
        """Build what is missing, and drop the indexes of sets that are gone."""
        async with self.database.begin([job.workspace_id]) as session:
            sets = await rows.sets_of_bot(session, UUID(job.payload["bot_id"]))
        for target in sets:
            if target.store is VectorStore.PGVECTOR and target.state in rows.WRITTEN:
                await self.indexing.see_to(target)
        await self.indexing.drop_orphans()


async def queue_dropping(session: AsyncSession, changes: Changes, workspace_id: UUID, bot_id: UUID) -> None:
    """Queue the job in the transaction that deletes a bot, if an index is left over then."""
    for target in await rows.sets_of_bot(session, bot_id):
        if target.id is not None and await is_indexed(session, target.id):
            await _enqueue(session, changes, workspace_id, bot_id)
            return


async def queue_indexing(session: AsyncSession, changes: Changes, target: VectorSet, exact_limit: int) -> None:
    """Queue the job in the caller's transaction, if the set is too large to be searched without an index."""
    if target.store is not VectorStore.PGVECTOR or target.id is None:
        return
    if await is_indexed(session, target.id) or not await rows.has_more_than(session, target.id, exact_limit):
        return
    await _enqueue(session, changes, target.workspace_id, target.bot_id)


async def _enqueue(session: AsyncSession, changes: Changes, workspace_id: UUID, bot_id: UUID) -> None:
    await enqueue(
        session,
        changes,
        workspace_id=workspace_id,
        kind=INDEX_VECTORS,
        payload={"bot_id": str(bot_id)},
        dedupe_key=job_key(INDEX_VECTORS, bot_id),
    )
