"""Moves bots to another model or store while they are searched by what they have.

A new set is built beside the one that is searched, and takes its place in one transaction, once each live passage has
its vector in it. Ingestion writes to both meanwhile. Nothing is kept in memory between two steps: a rebuild that dies
goes on where it was when it is started again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, VectorSet
from kyrochat.db.states import VectorSetState, VectorStore
from kyrochat.errors import Conflict, ProviderUnavailable
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.dense import BUDGET_S, EMBEDDED_AT_ONCE, DenseRetrieval
from kyrochat.retrieval.vector_indexing import VectorIndexing

# A search that began before the switch may take so long; until then the old vectors stay.
GRACE_S = BUDGET_S + 6.0
FOUND_AT_ONCE = 1_000
GONE = "The bot was deleted, or somebody moves it elsewhere."
SWEPT_AT_ONCE = 5_000


class AlreadyRebuilding(Conflict):
    """Another process rebuilds the bot's vectors at the moment."""

    def __init__(self) -> None:
        super().__init__("Another process rebuilds this bot's vectors at the moment.")


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of a bot's passages have their vector in the set that is being built."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Gives bots a complete set of vectors of the current model in `store`."""

    database: Database
    dense: DenseRetrieval
    indexing: VectorIndexing
    store: VectorStore
    grace_s: float = GRACE_S
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, bot: Bot) -> AsyncGenerator[Progress, None]:
        """Build, switch and sweep for one bot, and tell how far it is; what is complete already is left as it is.

        Raises:
            AlreadyRebuilding: somebody else does.
            ProviderUnavailable: a provider failed; the same call goes on from there.
        """
        async with self._alone(bot.id):
            await self._sweep(bot)
            target = await self._target(bot)
            while True:
                async for progress in self._fill(target):
                    yield progress
                # Before the switch, or searches would be slow until it is built.
                if target.store is VectorStore.PGVECTOR:
                    await self.indexing.see_to(target)
                await self.dense.settle_set(target)
                if await self._switch(target):
                    break
            if await self._retired(bot):
                await self.sleep(self.grace_s)
                await self._sweep(bot)

    async def _target(self, bot: Bot) -> VectorSet:
        """Return the set to be completed, made if it is missing; one that is on its way elsewhere is given up."""
        key = (self.store, self.dense.embedders.current.scheme)
        async with self.database.begin([bot.workspace_id]) as session:
            written = [each for each in await rows.lock_sets(session, bot.id) if each.state in rows.WRITTEN]
            for each in written:
                if each.state is VectorSetState.BUILDING and (each.store, each.scheme) != key:
                    each.state = VectorSetState.RETIRED
                    session.add(each)
            await session.flush()
            if not any((each.store, each.scheme) == key for each in written):
                await rows.add_set(session, bot.id, bot.workspace_id, *key, VectorSetState.BUILDING)
            found = await rows.sets_of_bot(session, bot.id)
        target = next((each for each in found if (each.store, each.scheme) == key), None)
        if target is None:
            raise Conflict(GONE)
        return target

    async def _fill(self, target: VectorSet) -> AsyncGenerator[Progress, None]:
        while True:
            async with self.database.begin([target.workspace_id]) as session:
                total, done = await rows.coverage(session, target)
                missing = await rows.live_without_vector(session, target, FOUND_AT_ONCE)
            yield Progress(done, total)
            if not missing:
                return
            for start in range(0, len(missing), EMBEDDED_AT_ONCE):
                async with self.database.begin([target.workspace_id]) as session:
                    texts = await rows.texts(session, missing[start : start + EMBEDDED_AT_ONCE])
                await self.dense.fill(target, texts)

    async def _switch(self, target: VectorSet) -> bool:
        """Let the set be searched in place of the old one; False when a passage came meanwhile that it lacks.

        Whoever makes a version live holds the bot's sets meanwhile: it is complete in both, or comes after the switch.
        """
        async with self.database.begin([target.workspace_id]) as session:
            sets = {each.id: each for each in await rows.lock_sets(session, target.bot_id)}
            if target.id not in sets:
                raise Conflict(GONE)
            if await rows.live_without_vector(session, target, 1):
                return False
            for each in sets.values():
                if each.state is VectorSetState.SERVING and each.id != target.id:
                    each.state = VectorSetState.RETIRED
                    session.add(each)
            # One bot is searched by one set only, also for a moment.
            await session.flush()
            sets[target.id].state = VectorSetState.SERVING
            session.add(sets[target.id])
        return True

    async def _retired(self, bot: Bot) -> list[VectorSet]:
        async with self.database.begin([bot.workspace_id]) as session:
            found = await rows.sets_of_bot(session, bot.id)
        return [each for each in found if each.state is VectorSetState.RETIRED]

    async def _sweep(self, bot: Bot) -> None:
        """Delete what sets hold that are not needed any more, wherever it is, and last the sets."""
        for each in await self._retired(bot):
            index = self.dense.stores.of(each.store, each.dimensions or 0)
            if index is None:
                raise ProviderUnavailable(
                    f"{each.store.label} holds old vectors and is not set up here. Set its key until they are deleted.",
                    retryable=False,
                )
            if each.dimensions is not None:
                await index.delete_set(each)
            if each.store is VectorStore.PGVECTOR and each.id is not None:
                await self.indexing.drop(each.id)
            await self._forget(each)

    async def _forget(self, target: VectorSet) -> None:
        assert target.id is not None
        forgotten = SWEPT_AT_ONCE
        while forgotten:
            # In batches: all at once would outlast the time that a statement has.
            async with self.database.begin([target.workspace_id]) as session:
                forgotten = await rows.forget_vectors(session, target.id, limit=SWEPT_AT_ONCE)
        async with self.database.begin([target.workspace_id]) as session:
            await rows.delete_set(session, target.id)

    @asynccontextmanager
    async def _alone(self, bot_id: UUID) -> AsyncGenerator[None, None]:
        """Be the only one that rebuilds the bot: whoever dies lets go with its connection."""
        async with self.database.engine.connect() as pooled:
            connection = await pooled.execution_options(isolation_level="AUTOCOMMIT")
            if not await rows.lock_rebuild(connection, bot_id):
                raise AlreadyRebuilding
            try:
                yield
            finally:
                await rows.unlock_rebuild(connection, bot_id)
