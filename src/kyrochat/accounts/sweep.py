"""Removes what has ended by itself: sessions with their used refresh tokens, and reset links."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kyrochat.accounts import reset_repository, session_repository
from kyrochat.db.engine import Database
from kyrochat.db.outage import Outage

SWEEP_EVERY_S = 3600.0
# So many a transaction.
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """Sweeps every hour. That every process does so is no harm."""

    database: Database

    @asynccontextmanager
    async def sweeping(self) -> AsyncGenerator[None, None]:
        """Sweep meanwhile."""
        task = asyncio.create_task(self._sweep_again_and_again(), name="sweep of accounts")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def once(self) -> None:
        """Remove all that has ended."""
        removed = BATCH
        while removed == BATCH:
            async with self.database.begin() as session:
                removed = await session_repository.sweep(session, BATCH)
        async with self.database.begin() as session:
            await reset_repository.sweep(session)

    async def _sweep_again_and_again(self) -> None:
        outage = Outage("Sweeping sessions")
        while True:
            try:
                await self.once()
            except Exception as error:  # what is left is left for the next time
                await asyncio.sleep(outage.goes_on(error))
            else:
                outage.is_over()
                await asyncio.sleep(SWEEP_EVERY_S)
