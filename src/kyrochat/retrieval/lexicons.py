"""The lexicons of bots that were searched last, and how one is made."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from sys import getsizeof
from uuid import UUID

from cachetools import LRUCache
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.retrieval import lexicon_repository, repository
from kyrochat.retrieval.encodings import Encoder
from kyrochat.retrieval.lexicon import Lexicon

LEXICON_SAMPLE = 2_000
# A lexicon of 15,000 terms, as of a large bot in English, takes 1.5 MB.
MAX_BYTES = 128 << 20

_Key = tuple[UUID, int]


def _size(lexicon: Lexicon) -> int:
    return getsizeof(lexicon) + getsizeof(lexicon.frequencies) + sum(map(getsizeof, lexicon.frequencies))


def room_for_lexicons(max_bytes: int = MAX_BYTES) -> "LRUCache[_Key, Lexicon]":
    """Return room for lexicons of so many bytes together."""
    return LRUCache(max_bytes, getsizeof=_size)


@dataclass(frozen=True, slots=True, eq=False)
class Lexicons:
    """Lexicons by bot and version, the ones used last. A version never changes, so nothing expires."""

    kept: "LRUCache[_Key, Lexicon]" = field(default_factory=room_for_lexicons)

    async def of_bot(self, session: AsyncSession, bot_id: UUID, encoder: Encoder, language: str) -> Lexicon:
        """Return the bot's lexicon; one from a fresh sample when none is stored yet."""
        version = await lexicon_repository.lexicon_version(session, bot_id)
        if version is None:
            return await sample_lexicon(session, bot_id, encoder, language)
        found = self.kept.get((bot_id, version))
        if found is None:
            row = await lexicon_repository.lexicon(session, bot_id)
            if row is None:
                return await sample_lexicon(session, bot_id, encoder, language)
            try:
                version, found = row.version, await asyncio.to_thread(Lexicon.from_bytes, row.frequencies)
            except ValueError:  # of another format; the next ingestion stores a new one
                return await sample_lexicon(session, bot_id, encoder, language)
            with suppress(ValueError):  # it alone takes more than there is room for
                self.kept[bot_id, version] = found
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
