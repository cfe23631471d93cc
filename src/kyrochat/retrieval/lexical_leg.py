"""The leg of a search that goes by words: BM25 in PostgreSQL, and a bonus for words that stand together."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Bot
from kyrochat.retrieval import repository
from kyrochat.retrieval.lexical import ENCODER_VERSION, chunk_tokens, encode_query, to_sparsevec_text
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.lexicons import Lexicons
from kyrochat.retrieval.proximity import RERANKED, proximity_bonus
from kyrochat.retrieval.search_settings import UsedSettings
from kyrochat.retrieval.tokens import tokenize
from kyrochat.retrieval.types import Passage

CANDIDATES = 50
SCHEME = f"bm25-{ENCODER_VERSION}"


@dataclass(frozen=True, slots=True)
class LexicalHits:
    """What the leg found, best first. `bonuses` are parts of the scores.

    `usual_score` is what a chunk of usual length scores that has each word of the question once. `vector` is the
    question as PostgreSQL reads it, '' when there is no word in it.
    """

    passages: Sequence[Passage] = ()
    bonuses: Mapping[UUID, float] = field(default_factory=dict)
    usual_score: float = 0.0
    vector: str = ""


@dataclass(frozen=True, slots=True)
class LexicalLeg:
    """Searches the words of a bot's live documents."""

    lexicons: Lexicons

    async def search(self, session: AsyncSession, bot: Bot, question: str, used: UsedSettings) -> LexicalHits:
        """Return the passages that share a word with the question. It must be the session's first work, or of one
        snapshot with it: a version that goes live between statements would leave hits without passages.
        """
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        lexicon = await self.lexicons.of_bot(session, bot)
        query = await asyncio.to_thread(encode_query, question, lexicon, bot.language)
        if not query.indices:
            return LexicalHits()
        vector = to_sparsevec_text(query)
        hits = await repository.lexical_hits(
            session, bot.id, vector, encoder_version=ENCODER_VERSION, limit=max(CANDIDATES, used.top_k)
        )
        found = await repository.passages(session, dict(hits), bot_id=bot.id)
        ranked = [found[chunk_id] for chunk_id, _ in hits if chunk_id in found]
        return await asyncio.to_thread(_with_bonuses, ranked, question, lexicon, bot.language, vector)

    async def scores(
        self, session: AsyncSession, bot: Bot, hits: LexicalHits, chunk_ids: Collection[UUID]
    ) -> dict[UUID, float]:
        """Return the scores, 0 or more, of chunks that the leg did not list, without bonuses."""
        listed = {passage.chunk_id for passage in hits.passages}
        unlisted = [chunk_id for chunk_id in chunk_ids if chunk_id not in listed]
        if not unlisted or not hits.vector:
            return {}
        return await repository.lexical_scores(session, bot.id, hits.vector, unlisted, encoder_version=ENCODER_VERSION)


def _with_bonuses(
    passages: Sequence[Passage], question: str, lexicon: Lexicon, language: str, vector: str
) -> LexicalHits:
    """Add to the first ones' scores what words standing close together are worth."""
    words = tokenize(question, language)
    bonuses = {
        passage.chunk_id: proximity_bonus(
            words, chunk_tokens(passage.document_title, passage.text, language, passage.heading), lexicon.idf
        )
        for passage in passages[:RERANKED]
    }
    closer = [replace(passage, score=passage.score + bonuses[passage.chunk_id]) for passage in passages[:RERANKED]]
    closer.sort(key=lambda passage: passage.score, reverse=True)
    return LexicalHits((*closer, *passages[RERANKED:]), bonuses, sum(lexicon.idf(word) for word in words), vector)
