"""Keeps a bot's index as it should be: a lexicon of about what there is, and vectors by the rules of today.

While a bot is encoded anew, its new vectors grow beside the old ones, which are searched until the last new one is
there. One transaction then switches from the old to the new, lexicon included. So no search ever meets both, and none
finds a half.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.bots.index_jobs import queue_tending
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.documents.reconcile_repository import workspace_ids
from kyrochat.jobs.queue import ClaimedJob, complete, hold
from kyrochat.retrieval import encoding_repository as encodings
from kyrochat.retrieval import lexicon_repository as words
from kyrochat.retrieval import repository as index
from kyrochat.retrieval.encoding_repository import Unencoded
from kyrochat.retrieval.encodings import ENCODERS, Encoder, Encoders, Encoding
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.lexicons import sample_lexicon
from kyrochat.retrieval.types import SparseVector

# A lexicon is rebuilt when the bot has grown or shrunk by this much: rank hardly depends on it.
LEXICON_DRIFT = 0.1
# Up to this many chunks at once, which takes a tenth of a second; for more there is the job, once for many documents.
LEXICON_AT_ONCE = 300
LEXICON_DELAY_S = 5.0
# Encoded in a third of a second, and written in a tenth.
BATCH_CHUNKS = 1_000
BATCH_DOCUMENTS = 100
BATCH_DELETED = 2_000
BATCH_WORKSPACES = 200
# Chunks that came while the rest was encoded: that few are encoded while nobody may add more.
LAST_CHUNKS = 500
FIRST_ID = UUID(int=0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexTending:
    """The handler of jobs that look after a bot's index. Each step finds what an attempt before it has done."""

    database: Database
    changes: Changes
    encoders: Encoders = ENCODERS
    batch_chunks: int = BATCH_CHUNKS

    async def __call__(self, job: ClaimedJob) -> None:
        """Encode the bot anew if it should be, remove vectors that nobody needs, and renew a lexicon that is old.

        Raises:
            LeaseLost: another worker has taken over.
        """
        bot_id = UUID(job.payload["bot_id"])
        while True:
            await self._reencode(job, bot_id)
            await self._sweep(job, bot_id)
            await self._renew_lexicon(job, bot_id)
            async with self.database.begin([job.workspace_id]) as session:
                # The bot first: whoever changes it holds it while he queues this job.
                bot = await encodings.bot_for_change(session, bot_id)
                if bot is None or not await self._is_stale(session, bot):
                    await complete(session, job)
                    return

    async def _wanted(self, session: AsyncSession, bot: Bot) -> Encoding:
        live = Encoding.from_number(bot.encoding)
        return self.encoders.wanted(bot.language, await index.chunk_count(session, bot.id), live)

    async def _is_stale(self, session: AsyncSession, bot: Bot) -> bool:
        return await self._wanted(session, bot) != Encoding.from_number(bot.encoding)

    async def _reencode(self, job: ClaimedJob, bot_id: UUID) -> None:
        while (target := await self._target(job, bot_id)) is not None:
            log.info("Encoding bot %s anew (encoding %d)", bot_id, target.number)
            await self._encode_most(job, bot_id, target)
            if await self._switch(job, bot_id, target):
                log.info("Bot %s is searched by encoding %d", bot_id, target.number)
                return

    async def _target(self, job: ClaimedJob, bot_id: UUID) -> Encoding | None:
        async with self.database.begin([job.workspace_id]) as session:
            bot = await encodings.bot_for_change(session, bot_id)
            if bot is None or not await self._is_stale(session, bot):
                return None
            return await self._wanted(session, bot)

    async def _encode_most(self, job: ClaimedJob, bot_id: UUID, target: Encoding) -> None:
        """Go through the bot's documents once. What comes meanwhile, or was passed over, is left to `_switch`."""
        after = FIRST_ID
        while True:
            async with self.database.begin([job.workspace_id]) as session:
                documents = await encodings.documents_after(session, bot_id, after, BATCH_DOCUMENTS)
            if not documents:
                return
            after = documents[-1]
            while True:
                async with self.database.begin([job.workspace_id]) as session:
                    await hold(session, job)
                    found = await encodings.unencoded(session, bot_id, target, documents, self.batch_chunks)
                vectors = await asyncio.to_thread(encoded, self.encoders.of(target), target, found)
                async with self.database.begin([job.workspace_id]) as session:
                    await hold(session, job)
                    await encodings.live(session, bot_id, pinned=True)
                    added = await _add(session, job.workspace_id, bot_id, target, found, vectors)
                # None: they went, or got other titles, faster than we encode.
                if len(found) < self.batch_chunks or not added:
                    break

    async def _switch(self, job: ClaimedJob, bot_id: UUID, target: Encoding) -> bool:
        """Encode what is still missing, and search by the new vectors from now on; False: begin again."""
        encoder = self.encoders.of(target)
        async with self.database.begin([job.workspace_id]) as session:
            lexicon = await sample_lexicon(session, bot_id, encoder, target.language)
        async with self.database.begin([job.workspace_id]) as session:
            await hold(session, job)
            # From here on no vector comes to the bot, no title changes its vectors, and its language stays.
            bot = await encodings.bot_for_change(session, bot_id)
            if bot is None or await self._wanted(session, bot) != target:
                return False
            missing = await encodings.still_unencoded(session, bot_id, target, LAST_CHUNKS + 1)
            if len(missing) > LAST_CHUNKS:
                return False
            vectors = await asyncio.to_thread(encoded, encoder, target, missing)
            if await _add(session, job.workspace_id, bot_id, target, missing, vectors) < len(missing):
                return False
            await encodings.make_live(session, bot_id, target)
            await _store(session, job.workspace_id, bot_id, lexicon)
            return True

    async def _sweep(self, job: ClaimedJob, bot_id: UUID) -> None:
        deleted = 1
        while deleted:
            async with self.database.begin([job.workspace_id]) as session:
                await hold(session, job)
                live = await encodings.live(session, bot_id, pinned=True)
                deleted = await encodings.drop_other_vectors(session, bot_id, live, BATCH_DELETED)

    async def _renew_lexicon(self, job: ClaimedJob, bot_id: UUID) -> None:
        while True:
            async with self.database.begin([job.workspace_id]) as session:
                await hold(session, job)
                count = await index.chunk_count(session, bot_id)
                if not await _has_drifted(session, bot_id, count):
                    return
            if not await _renew_lexicon(self.database, job.workspace_id, bot_id, self.encoders):
                return


async def tend(database: Database, changes: Changes, bot: Bot, encoders: Encoders, *, added: int) -> None:
    """See to a bot's index after a document came to it: at once if that is little work, else by a job.

    `added` is how many chunks came, the bot's count may not know of them yet.
    """
    async with database.begin([bot.workspace_id]) as session:
        count = await index.documents_chunk_count(session, bot.id) + added
        live = await encodings.live(session, bot.id)
        has_drifted = await _has_drifted(session, bot.id, count)
        is_first = await words.lexicon_chunk_count(session, bot.id) is None
    if has_drifted and (count <= LEXICON_AT_ONCE or is_first):
        has_drifted = not await _renew_lexicon(database, bot.workspace_id, bot.id, encoders)
    if has_drifted or encoders.wanted(live.language, count, live) != live:
        async with database.begin([bot.workspace_id]) as session:
            await queue_tending(session, changes, bot.workspace_id, bot.id, delay_s=LEXICON_DELAY_S)


async def tend_stale(database: Database, changes: Changes, encoders: Encoders = ENCODERS) -> int:
    """Queue the job for all bots that are searched by older vectors than they could be, and return how many.

    An outage is noted only: the next start of a server looks again.
    """
    found = 0
    try:
        async with database.begin() as session:
            workspaces = await workspace_ids(session)
        for start in range(0, len(workspaces), BATCH_WORKSPACES):
            some = workspaces[start : start + BATCH_WORKSPACES]
            async with database.begin(some) as session:
                stale = await encodings.stale_bots(session, some, encoder_version=encoders.current.version)
                for bot_id, workspace_id in stale:
                    await queue_tending(session, changes, workspace_id, bot_id)
            found += len(stale)
    except Exception as error:
        log.warning("Bots with old vectors could not be looked for (%s)", type(error).__name__)
    if found:
        log.info("%d bots are to be encoded anew", found)
    return found


async def _has_drifted(session: AsyncSession, bot_id: UUID, count: int) -> bool:
    known = await words.lexicon_chunk_count(session, bot_id)
    return known is None or abs(count - known) > LEXICON_DRIFT * known


async def _renew_lexicon(database: Database, workspace_id: UUID, bot_id: UUID, encoders: Encoders) -> bool:
    """Store a lexicon of what there is now; False when the bot was encoded anew meanwhile, which made it one."""
    async with database.begin([workspace_id]) as session:
        live = await encodings.live(session, bot_id)
        lexicon = await sample_lexicon(session, bot_id, encoders.of(live), live.language)
    async with database.begin([workspace_id]) as session:
        if await encodings.live(session, bot_id, pinned=True) != live:
            return False
        await _store(session, workspace_id, bot_id, lexicon)
    return True


async def _store(session: AsyncSession, workspace_id: UUID, bot_id: UUID, lexicon: Lexicon) -> None:
    await words.store_lexicon(
        session, bot_id, workspace_id, chunk_count=lexicon.chunk_count, frequencies=lexicon.to_bytes()
    )


async def _add(
    session: AsyncSession,
    workspace_id: UUID,
    bot_id: UUID,
    encoding: Encoding,
    chunks: Sequence[Unencoded],
    vectors: Mapping[UUID, SparseVector],
) -> int:
    """Store the vectors of those chunks that are as they were when they were encoded, and return how many."""
    current = await encodings.keep_current(session, chunks) if chunks else []
    if current:
        places = {chunk.chunk_id: (chunk.document_id, chunk.version) for chunk in current}
        of_current = {chunk.chunk_id: vectors[chunk.chunk_id] for chunk in current}
        await encodings.add_vectors(session, workspace_id, bot_id, encoding, of_current, places)
    return len(current)


def encoded(encoder: Encoder, encoding: Encoding, chunks: Sequence[Unencoded]) -> dict[UUID, SparseVector]:
    """Return the vectors of chunks by their ids."""
    return {
        chunk.chunk_id: encoder.encode_chunk(chunk.title, chunk.text, encoding.language, chunk.heading)
        for chunk in chunks
    }
