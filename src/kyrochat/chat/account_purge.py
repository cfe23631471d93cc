"""Removes the row of a deleted account with all that hangs on it, whatever workspaces that is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import col

from kyrochat.accounts import workspace_repository
from kyrochat.chat import repository
from kyrochat.chat.ending import Ending, end_answer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import User
from kyrochat.db.states import MessageStatus
from kyrochat.jobs.queue import ClaimedJob, complete

BATCH_CONVERSATIONS = 200
# So many are looked into at once; all are, since the person may have left some in which he has asked things.
BATCH_WORKSPACES = 500


@dataclass(frozen=True, slots=True)
class AccountPurge:
    """The handler of jobs that remove an account. Its workspaces have jobs of their own."""

    database: Database
    changes: Changes

    async def __call__(self, job: ClaimedJob) -> None:
        """Remove the person's conversations in batches, then the row; sessions, keys and the like go with it."""
        user_id = UUID(job.payload["user_id"])
        workspaces: Sequence[UUID] = []
        while workspaces := await self._next_workspaces(workspaces[-1] if workspaces else None):
            while await self._delete_conversations(user_id, workspaces):
                continue
        async with self.database.begin() as session:
            await complete(session, job)
            await session.exec(delete(User).where(col(User.id) == user_id))

    async def _next_workspaces(self, after: UUID | None) -> Sequence[UUID]:
        async with self.database.begin() as session:
            return await workspace_repository.ids_after(session, after, BATCH_WORKSPACES)

    async def _delete_conversations(self, user_id: UUID, workspaces: Sequence[UUID]) -> int:
        async with self.database.begin(workspaces) as session:
            some = await repository.ids_of_user(session, user_id, workspaces, BATCH_CONVERSATIONS)
            # Whoever writes an answer of them hears that it has ended, and stops.
            for answer_id in await repository.streaming(session, *some):
                await end_answer(session, self.changes, answer_id, Ending(MessageStatus.STOPPED))
            await repository.delete_conversations(session, some)
            return len(some)
