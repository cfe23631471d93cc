"""Finds passages for a question. Search and answers use this very path."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.retrieval import repository
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.fusion import fuse
from kyrochat.retrieval.lexical import ENCODER_VERSION, chunk_tokens, encode_query, to_sparsevec_text
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.proximity import RERANKED, proximity_bonus
from kyrochat.retrieval.tokens import tokenize
from kyrochat.retrieval.types import Passage

CANDIDATES = 50
LEXICON_SAMPLE = 2_000
CACHED_LEXICONS = 64
# A question may be pasted text; what follows this many characters would only blur it.
MAX_QUERY_CHARS = 4_000


@dataclass(slots=True, eq=False)
class Lexicons:
    """Lexicons by bot and version, the ones used last. A version never changes, so nothing expires."""

    _cached: OrderedDict[tuple[UUID, int], Lexicon] = field(default_factory=OrderedDict)

    async def of_bot(self, session: AsyncSession, bot: Bot) -> Lexicon:
        """Return the bot's lexicon; one from a fresh sample when none is stored yet."""
        version = await repository.lexicon_version(session, bot.id)
        if version is None:
            return await sample_lexicon(session, bot)
        found = self._cached.get((bot.id, version))
        if found is None:
            row = await repository.lexicon(session, bot.id)
            if row is None:
                return await sample_lexicon(session, bot)
            try:
                version, found = row.version, await asyncio.to_thread(Lexicon.from_bytes, row.frequencies)
            except ValueError:  # of another format; the next ingestion stores a new one
                return await sample_lexicon(session, bot)
        self._cached[bot.id, version] = found
        self._cached.move_to_end((bot.id, version))
        while len(self._cached) > CACHED_LEXICONS:
            self._cached.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class Retriever:
    """Lexical retrieval in PostgreSQL, fused with dense retrieval where that is set up."""

    database: Database
    lexicons: Lexicons = field(default_factory=Lexicons)
    dense: DenseRetrieval | None = None

    async def search(self, bot: Bot, question: str, limit: int) -> list[Passage]:
        """Return up to `limit` passages of the bot's live documents, best first; none when nothing is near."""
        question = question[:MAX_QUERY_CHARS]
        if self.dense is None:
            return (await self._lexical(bot, question, max(CANDIDATES, limit)))[:limit]
        searching = asyncio.create_task(self.dense.search(bot.workspace_id, bot.id, question))
        try:
            lexical = await self._lexical(bot, question, max(CANDIDATES, limit))
            hits = await searching
        finally:
            searching.cancel()
        if not hits:
            return lexical[:limit]
        found = {passage.chunk_id: passage for passage in lexical}
        async with self.database.begin([bot.workspace_id]) as session:
            # Only live ones come back, whatever the index still holds.
            found |= await repository.passages(session, dict(hits), bot_id=bot.id)
        fused = fuse(
            [hit for hit in hits if hit[0] in found], [(passage.chunk_id, passage.score) for passage in lexical]
        )
        return [replace(found[chunk_id], score=score) for chunk_id, score in fused[:limit]]

    async def _lexical(self, bot: Bot, question: str, limit: int) -> list[Passage]:
        async with self.database.begin([bot.workspace_id]) as session:
            # One snapshot for all statements: a version that goes live between them would leave hits without passages.
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            lexicon = await self.lexicons.of_bot(session, bot)
            query = await asyncio.to_thread(encode_query, question, lexicon, bot.language)
            if not query.indices:
                return []
            hits = await repository.lexical_hits(
                session, bot.id, to_sparsevec_text(query), encoder_version=ENCODER_VERSION, limit=limit
            )
            found = await repository.passages(session, dict(hits), bot_id=bot.id)
        ranked = [found[chunk_id] for chunk_id, _ in hits if chunk_id in found]
        return await asyncio.to_thread(_rerank, ranked, question, lexicon, bot.language)


def _rerank(passages: Sequence[Passage], question: str, lexicon: Lexicon, language: str) -> list[Passage]:
    """Add to the first ones' scores what words standing close together are worth."""
    query_tokens = tokenize(question, language)
    closer = [
        replace(
            passage,
            score=passage.score + proximity_bonus(query_tokens, _tokens(passage, language), lexicon.idf),
        )
        for passage in passages[:RERANKED]
    ]
    return [*sorted(closer, key=lambda passage: passage.score, reverse=True), *passages[RERANKED:]]


def _tokens(passage: Passage, language: str) -> list[str]:
    return chunk_tokens(passage.document_title, passage.text, language, passage.heading)


async def sample_lexicon(session: AsyncSession, bot: Bot) -> Lexicon:
    """Build a lexicon from a random sample of the bot's chunks."""
    chunk_count = await repository.chunk_count(session, bot.id)
    sample = await repository.sample_chunks(session, bot.id, LEXICON_SAMPLE)
    return await asyncio.to_thread(
        lambda: Lexicon.build(
            (chunk_tokens(title, body, bot.language, heading) for title, body, heading in sample), chunk_count
        )
    )
