"""The lexicons of bots that were searched last, and how one is made."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.retrieval import lexicon_repository, repository
from kyrochat.retrieval.encodings import Encoder
from kyrochat.retrieval.lexicon import Lexicon

LEXICON_SAMPLE = 2_000
CACHED_LEXICONS = 64


@dataclass(slots=True, eq=False)
class Lexicons:
    """Lexicons by bot and version, the ones used last. A version never changes, so nothing expires."""

    _cached: OrderedDict[tuple[UUID, int], Lexicon] = field(default_factory=OrderedDict)

    async def of_bot(self, session: AsyncSession, bot_id: UUID, encoder: Encoder, language: str) -> Lexicon:
        """Return the bot's lexicon; one from a fresh sample when none is stored yet."""
        version = await lexicon_repository.lexicon_version(session, bot_id)
        if version is None:
            return await sample_lexicon(session, bot_id, encoder, language)
        found = self._cached.get((bot_id, version))
        if found is None:
            row = await lexicon_repository.lexicon(session, bot_id)
            if row is None:
                return await sample_lexicon(session, bot_id, encoder, language)
            try:
                version, found = row.version, await asyncio.to_thread(Lexicon.from_bytes, row.frequencies)
            except ValueError:  # of another format; the next ingestion stores a new one
                return await sample_lexicon(session, bot_id, encoder, language)
        self._cached[bot_id, version] = found
        self._cached.move_to_end((bot_id, version))
        while len(self._cached) > CACHED_LEXICONS:
            self._cached.popitem(last=False)
        return found


async def sample_lexicon(session: AsyncSession, bot_id: UUID, encoder: Encoder, language: str) -> Lexicon:
    """Build a lexicon from a random sample of the bot's chunks."""
    chunk_count = await repository.chunk_count(session, bot_id)
    sample = await lexicon_repository.sample_chunks(session, bot_id, LEXICON_SAMPLE)
    return await asyncio.to_thread(
        lambda: Lexicon.build(
            (encoder.chunk_tokens(title, body, language, heading) for title, body, heading in sample), chunk_count
        )
    )
