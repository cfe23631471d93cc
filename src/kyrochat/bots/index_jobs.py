"""The job that looks after a bot's index: its lexicon, and vectors that were made by rules of yesterday."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.jobs.queue import PURGE_ATTEMPTS, enqueue

# The handler lives in `documents`, a floor above: `working` brings them together.
TEND_INDEX = "tend_index"
# After the uploads of its workspace: they are waited for, it is not.
PRIORITY = -1


async def queue_tending(
    session: AsyncSession, changes: Changes, workspace_id: UUID, bot_id: UUID, *, delay_s: float = 0.0
) -> None:
    """Queue the job in the caller's transaction, unless there is one; that one finds what has changed."""
    await enqueue(
        session,
        changes,
        workspace_id=workspace_id,
        kind=TEND_INDEX,
        payload={"bot_id": str(bot_id)},
        dedupe_key=f"{TEND_INDEX}:{bot_id}",
        priority=PRIORITY,
        # Nobody can ask for it again.
        max_attempts=PURGE_ATTEMPTS,
        delay_s=delay_s,
    )
