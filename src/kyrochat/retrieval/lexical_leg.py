"""The leg of a search that goes by words: BM25 in PostgreSQL, and a bonus for words that stand together."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Bot
from kyrochat.retrieval import encoding_repository, repository
from kyrochat.retrieval.encodings import ENCODERS, Encoder, Encoders, Encoding
from kyrochat.retrieval.lexical import ENCODER_VERSION, to_sparsevec_text, to_vector
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.lexicons import Lexicons
from kyrochat.retrieval.proximity import RERANKED, proximity_bonus
from kyrochat.retrieval.rare_terms import is_enough, rare_terms
from kyrochat.retrieval.search import Search
from kyrochat.retrieval.types import Passage

CANDIDATES = 50
# However few passages are asked for, as many of the best are to be found for certain: proximity changes their order.
TOP = 10
SCHEME = f"bm25-{ENCODER_VERSION}"


@dataclass(frozen=True, slots=True)
class LexicalHits:
    """What the leg found, best first. `bonuses` are parts of the scores.

    `usual_score` is what a chunk of usual length scores that has each word of the question once. `vector` is the
    question as PostgreSQL reads it, '' when there is no word in it, and `encoding` names the vectors it goes with.
    """

    passages: Sequence[Passage] = ()
    bonuses: Mapping[UUID, float] = field(default_factory=dict)
    usual_score: float = 0.0
    vector: str = ""
    encoding: Encoding = field(default_factory=Encoding)


@dataclass(frozen=True, slots=True)
class LexicalLeg:
    """Searches the words of a bot's live documents."""

    lexicons: Lexicons
    encoders: Encoders = ENCODERS
    by_rare_terms: bool = True  # False: scan large bots, too; for measurements

    async def search(self, session: AsyncSession, search: Search) -> LexicalHits:
        """Return the passages that share a word with the question.

        The session has one snapshot: a version that goes live between statements would leave hits without passages.
        """
        bot, question = search.bot, search.question
        # Read with the rows, not with the bot, which the caller may have had for a while.
        encoding = await encoding_repository.live(session, bot.id)
        encoder = self.encoders.of(encoding)
        lexicon = await self.lexicons.of_bot(session, bot.id, encoder, encoding.language)
        weights = await asyncio.to_thread(encoder.query_weights, question, lexicon, encoding.language)
        if not weights:
            return LexicalHits()
        rare = rare_terms(weights, lexicon) if encoding.salted and self.by_rare_terms else set[str]()
        vector = to_sparsevec_text(to_vector(weights))
        hits = await _hits(session, search, weights, rare, vector, encoding)
        passages = await repository.passages(session, dict(hits), bot_id=bot.id)
        ranked = [passages[chunk_id] for chunk_id, _ in hits if chunk_id in passages]
        found = LexicalHits(ranked, vector=vector, encoding=encoding)
        return await asyncio.to_thread(_with_bonuses, found, question, lexicon, encoder)

    async def scores(
        self, session: AsyncSession, bot: Bot, hits: LexicalHits, chunk_ids: Collection[UUID]
    ) -> dict[UUID, float]:
        """Return the scores, 0 or more, of chunks that the leg did not list, without bonuses."""
        listed = {passage.chunk_id for passage in hits.passages}
        unlisted = [chunk_id for chunk_id in chunk_ids if chunk_id not in listed]
        if not unlisted or not hits.vector:
            return {}
        return await repository.lexical_scores(session, bot.id, hits.vector, unlisted, encoding=hits.encoding)


async def _hits(
    session: AsyncSession,
    search: Search,
    weights: Mapping[str, float],
    rare: set[str],
    vector: str,
    encoding: Encoding,
) -> list[tuple[UUID, float]]:
    bot_id, top_k, documents = search.bot.id, search.used.top_k, search.documents
    limit = max(CANDIDATES, top_k)
    # A filter may leave few chunks of a rare term, and then all of the others are looked at anyway.
    if rare and documents is None:
        salts = encoding.salt(bot_id, to_vector({term: weights[term] for term in rare}))
        hits = await repository.salted_hits(session, bot_id, vector, salts, encoding=encoding, limit=limit)
        if is_enough(hits, weights, rare, max(TOP, top_k)):
            return hits
    return await repository.lexical_hits(session, bot_id, vector, encoding=encoding, limit=limit, documents=documents)


def _with_bonuses(found: LexicalHits, question: str, lexicon: Lexicon, encoder: Encoder) -> LexicalHits:
    """Add to the first ones' scores what words standing close together are worth."""
    language, first, rest = found.encoding.language, found.passages[:RERANKED], found.passages[RERANKED:]
    words = lexicon.corrected(encoder.tokenize(question, language))
    bonuses = {}
    for passage in first:
        held = encoder.chunk_tokens(passage.document_title, passage.text, language, passage.heading)
        bonuses[passage.chunk_id] = proximity_bonus(words, held, lexicon.idf)
    closer = [replace(passage, score=passage.score + bonuses[passage.chunk_id]) for passage in first]
    closer.sort(key=lambda passage: passage.score, reverse=True)
    usual_score = sum(lexicon.idf(word) for word in words)
    return replace(found, passages=(*closer, *rest), bonuses=bonuses, usual_score=usual_score)
