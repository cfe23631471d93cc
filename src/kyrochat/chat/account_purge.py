"""Removes the row of a deleted account with all that hangs on it, whatever workspaces that is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts import user_repository, workspace_repository
from kyrochat.chat import repository
from kyrochat.db.changes import Changes, answer_topic, ended_topic
from kyrochat.db.engine import Database
from kyrochat.jobs.queue import ClaimedJob, complete

BATCH_CONVERSATIONS = 200
# So many are looked into at once; all are, since the person may have left some in which he has asked things.
BATCH_WORKSPACES = 500


class StillThere(Exception):
    """The account has not ended, so its row stays."""


@dataclass(frozen=True, slots=True)
class AccountPurge:
    """The handler of jobs that remove an account. Its workspaces have jobs of their own."""

    database: Database
    changes: Changes

    async def __call__(self, job: ClaimedJob) -> None:
        """Remove the person's conversations in batches, then the row; sessions, keys and the like go with it.

        Raises:
            StillThere: the account works.
        """
        user_id = UUID(job.payload["user_id"])
        workspaces: Sequence[UUID] = []
        while workspaces := await self._next_workspaces(workspaces[-1] if workspaces else None):
            while await self._delete_conversations(user_id, workspaces):
                continue
        async with self.database.begin() as session:
            await complete(session, job)
            if not await user_repository.erase(session, user_id):
                raise StillThere

    async def _next_workspaces(self, after: UUID | None) -> Sequence[UUID]:
        async with self.database.begin() as session:
            return await workspace_repository.ids_after(session, after, BATCH_WORKSPACES)

    async def _delete_conversations(self, user_id: UUID, workspaces: Sequence[UUID]) -> int:
        async with self.database.begin(workspaces) as session:
            some = await repository.ids_of_user(session, user_id, workspaces, BATCH_CONVERSATIONS)
            # Whoever writes an answer of them hears that it has ended, and stops. Nobody needs its text.
            ended = await repository.end_leases(session, some)
            await self.changes.announce(
                session, [topic(each) for each in ended for topic in (answer_topic, ended_topic)]
            )
            await repository.delete_conversations(session, some)
            return len(some)
