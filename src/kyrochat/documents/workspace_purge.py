"""Removes a deleted workspace with all that was in it, and verifies that nothing is left."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import col, select

from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes, answer_topic, ended_topic
from kyrochat.db.engine import Database
from kyrochat.db.models import Conversation, Document, Workspace
from kyrochat.db.tenancy import Reach
from kyrochat.documents.purge import BATCH_CONVERSATIONS, BATCH_DOCUMENTS, StillThere
from kyrochat.documents.storage import FileStore
from kyrochat.jobs.queue import ClaimedJob, RetryLater
from kyrochat.jobs.withdrawal import withdraw_others
from kyrochat.retrieval.ports import VectorRemoval

# An ingestion under way finds its bot deleted at its next step.
WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class WorkspacePurge:
    """The handler of jobs that remove a workspace. Nobody belongs to it any more, so nobody new comes in.

    Each step finds what an attempt before it has left, and does no harm where that was nothing.
    """

    database: Database
    changes: Changes
    store: FileStore
    vectors: VectorRemoval | None = None

    async def __call__(self, job: ClaimedJob) -> None:
        """Stop what is going on in the workspace, remove files, vectors and rows, and look for what is left.

        Raises:
            RetryLater: something is still going on.
            StillThere: something was left; the job tries again.
        """
        workspace_id, prefix = job.workspace_id, f"{job.workspace_id}/"
        await self._stop(job)
        await self.store.delete_prefix(prefix)
        if self.vectors is not None:
            await self.vectors.delete_workspace(workspace_id)
        while await self._delete_some(Document, workspace_id, BATCH_DOCUMENTS):
            continue
        while await self._delete_some(Conversation, workspace_id, BATCH_CONVERSATIONS):
            continue
        await self._delete_row(workspace_id)
        if await self.store.exists(prefix):
            raise StillThere

    async def _stop(self, job: ClaimedJob) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            # From here on no document comes to a bot any more, and no answer goes on.
            ended = await bots.close_all(session, job.workspace_id)
            await self.changes.announce(
                session, [topic(each) for each in ended for topic in (answer_topic, ended_topic)]
            )
        async with self.database.begin() as session:
            is_busy = await withdraw_others(session, job)
        if is_busy:
            raise RetryLater("Another job of the workspace still runs.", WAIT_S)

    async def _delete_some(self, table: type[Document] | type[Conversation], workspace_id: UUID, limit: int) -> int:
        # In batches: all at once would outlast the time that a statement has.
        async with self.database.begin([workspace_id]) as session:
            some = select(table.id).where(table.workspace_id == workspace_id).limit(limit)
            return (await session.exec(delete(table).where(col(table.id).in_(some)))).rowcount

    async def _delete_row(self, workspace_id: UUID) -> None:
        async with self.database.begin([workspace_id]) as session:
            query = select(Workspace).where(Workspace.id == workspace_id).with_for_update()
            workspace = (await session.exec(query)).one_or_none()
            # Whoever came in before the workspace was shut may have made a bot since; now nobody can.
            if await bots.count(session, reach=Reach.of(workspace_id)):
                raise RetryLater("A bot was made in the workspace meanwhile.", 0)
            if workspace is not None:
                await session.delete(workspace)
