"""Makes finished logs small: the events of uninterrupted text become one row, which knows where each of them ended.

Numbers never change, so a number that a client got before still says how much of the text it has.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kyrochat.accounts import workspace_repository
from kyrochat.chat import log_repository as rows
from kyrochat.db.engine import Database
from kyrochat.db.outage import Outage
from kyrochat.pauses import spread

SWEEP_EVERY_S = 300.0
BATCH_LOGS = 50
BATCH_WORKSPACES = 500
CALL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class LogCompaction:
    """The sweep for logs whose answers ended a while ago. Any number of processes may sweep at a time."""

    database: Database
    sweep_every_s: float = SWEEP_EVERY_S

    async def sweep(self) -> int:
        """Compact all logs that are due, and return how many there were."""
        done, after = 0, None
        while True:
            async with self.database.begin() as session:
                workspaces = await workspace_repository.ids_after(session, after, BATCH_WORKSPACES)
            if not workspaces:
                return done
            after = workspaces[-1]
            while True:
                async with asyncio.timeout(CALL_TIMEOUT_S), self.database.begin(workspaces) as session:
                    count = await rows.compact_due(session, BATCH_LOGS)
                done += count
                if count < BATCH_LOGS:
                    break

    @asynccontextmanager
    async def sweeping(self) -> AsyncGenerator[None, None]:
        """Sweep now and then meanwhile."""
        task = asyncio.create_task(self._sweep_for_ever(), name="answer-log-compaction")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _sweep_for_ever(self) -> None:
        outage = Outage("Compacting answers' logs")
        while True:
            # First a pause: a start is busy enough. And spread, so that many processes do not sweep in step.
            await asyncio.sleep(spread(self.sweep_every_s))
            try:
                await self.sweep()
            except Exception as error:
                outage.goes_on(error)
            else:
                outage.is_over()
