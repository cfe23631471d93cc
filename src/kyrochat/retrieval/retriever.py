"""Finds passages for a question. Search, answers and evaluation use this very path."""

import asyncio
from dataclasses import dataclass, field, replace
from time import perf_counter

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.db.storable import storable
from kyrochat.errors import ProviderUnavailable
from kyrochat.metrics import SEARCH_LEGS, SEARCHES
from kyrochat.retrieval import filter_repository, repository
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.dense_leg import DenseHits, DenseLeg
from kyrochat.retrieval.embedding_cache import EmbeddingCache
from kyrochat.retrieval.encodings import ENCODERS, Encoders
from kyrochat.retrieval.joining import join
from kyrochat.retrieval.legs import Outcome, milliseconds_since, off, run
from kyrochat.retrieval.lexical_leg import SCHEME as LEXICAL_SCHEME
from kyrochat.retrieval.lexical_leg import LexicalHits, LexicalLeg
from kyrochat.retrieval.lexicons import Lexicons
from kyrochat.retrieval.ranking import Near, Ranked, rank
from kyrochat.retrieval.reranking import Reranking
from kyrochat.retrieval.search import Retrieval, Search
from kyrochat.retrieval.search_cache import SearchCache
from kyrochat.retrieval.search_settings import NO_FILTER, Leg, SearchSettings
from kyrochat.retrieval.selection import select
from kyrochat.retrieval.trace import LegReport, LegStatus, SearchTrace, Step, bounded

# A question may be pasted text; what follows this many characters would only blur it.
MAX_QUERY_CHARS = 4_000
ONE_SNAPSHOT = {"isolation_level": "REPEATABLE READ"}
# An answer waits no longer than this for its lexical leg: a scan of a million chunks takes less.
LEXICAL_BUDGET_S = 5.0


@dataclass(frozen=True, slots=True)
class Retriever:
    """Lexical retrieval in PostgreSQL, fused with dense retrieval where that is set up."""

    database: Database
    lexicons: Lexicons = field(default_factory=Lexicons)
    dense: DenseRetrieval | None = None
    lexical_budget_s: float = LEXICAL_BUDGET_S
    encoders: Encoders = ENCODERS
    embeddings: EmbeddingCache = field(default_factory=EmbeddingCache)
    results: SearchCache = field(default_factory=SearchCache)
    reranking: Reranking | None = None

    async def retrieve(
        self, bot: Bot, question: str, settings: SearchSettings | None = None, *, fresh: bool = False
    ) -> Retrieval:
        """Return passages of the bot's live documents, best first; none when nothing is near.

        Without settings, and where they say nothing, the bot's own count. `fresh`: whoever measures wants no result of
        an earlier search, however true it is.

        Raises:
            ProviderUnavailable: no leg came to its end.
        """
        started = perf_counter()
        search = await self._begun(bot, question, settings or SearchSettings())
        known = None if fresh or search.state is None else self.results.get(search)
        if known is not None:
            trace = replace(known.trace, cached=True, milliseconds=milliseconds_since(started))
            SEARCHES.labels("memory").observe(trace.milliseconds / 1000)
            return replace(known, trace=trace)
        lexical, dense = await self._run_legs(search)
        fusing = perf_counter()
        ranked = await self._together(search, lexical.value or LexicalHits(), dense)
        fused_in = Step("fusion", milliseconds_since(fusing))
        legs = [lexical.report, dense.report]
        if self.reranking is not None:
            ranked, report = await self.reranking.rerank(search, ranked)
            legs.append(report)
            if report.status is not LegStatus.OFF:
                ranked = await self._still_live(search, ranked)
        result = await self._chosen(search, ranked, tuple(legs), (fused_in,), started)
        SEARCHES.labels("documents").observe(result.trace.milliseconds / 1000)
        for leg in result.trace.legs:
            SEARCH_LEGS.labels(leg.leg, leg.status).inc()
        # What a leg has missed must not be missed any longer than it is down.
        if not any(leg.status in (LegStatus.LATE, LegStatus.FAILED) for leg in result.trace.legs):
            self.results.put(search, result)
        return result

    async def _begun(self, bot: Bot, question: str, settings: SearchSettings) -> Search:
        used = settings.resolved(bot)
        # A model may ask, too, and write what PostgreSQL cannot hold.
        question = storable(question)[:MAX_QUERY_CHARS]
        async with self.database.begin([bot.workspace_id]) as session:
            state = await repository.index_state(session, bot.id)
            documents = None
            if used.filter != NO_FILTER:
                documents = await filter_repository.matching(session, bot.id, used.filter)
        return Search(bot, question, used, documents, state)

    async def _run_legs(self, search: Search) -> tuple[Outcome[LexicalHits], Outcome[DenseHits]]:
        if search.documents is not None and not search.documents:
            nothing = "The filter lets no document through."
            return Outcome(off(Leg.LEXICAL, nothing)), Outcome(off(Leg.DENSE, nothing))
        lexical_leg = asyncio.create_task(self._lexical(search))
        dense_leg = asyncio.create_task(DenseLeg(self.dense, self.embeddings).run(search))
        try:
            lexical, dense = await lexical_leg, await dense_leg
        finally:
            lexical_leg.cancel()
            dense_leg.cancel()
        tried = [each.report for each in (lexical, dense) if each.report.status is not LegStatus.OFF]
        if tried and all(report.status is not LegStatus.OK for report in tried):
            raise ProviderUnavailable("The documents could not be searched. Try again in a few seconds.")
        return lexical, dense

    async def _lexical(self, search: Search) -> Outcome[LexicalHits]:
        if Leg.LEXICAL not in search.used.legs:
            return Outcome(off(Leg.LEXICAL, "The search's settings leave it out."))

        async def work() -> LexicalHits:
            async with self.database.begin([search.bot.workspace_id]) as session:
                await session.connection(execution_options=ONE_SNAPSHOT)
                return await self._words.search(session, search)

        outcome = await run(Leg.LEXICAL, work(), budget_s=self.lexical_budget_s, scheme=LEXICAL_SCHEME)
        return outcome.counting(len(outcome.value.passages) if outcome.value else 0)

    async def _together(self, search: Search, lexical: LexicalHits, outcome: Outcome[DenseHits]) -> list[Ranked]:
        words, bot, dense = self._words, search.bot, outcome.value
        by_words = {passage.chunk_id for passage in lexical.passages}
        ids = by_words | {chunk_id for chunk_id, _ in (dense.hits if dense else ())}
        if outcome.report.status is LegStatus.OFF or not ids:
            return rank(lexical, Near(), search.used.alpha)
        async with self.database.begin([bot.workspace_id]) as session:
            # The dense leg takes its time, most of all one that fails or is late: only what is live by now may be
            # shown, whatever an index still holds.
            await session.connection(execution_options=ONE_SNAPSHOT)
            found = await repository.passages(session, dict.fromkeys(ids, 0.0), bot_id=bot.id)
            if not by_words <= found.keys():
                # A version went live meanwhile, or a document is gone. Words are looked up again fast enough.
                lexical = await words.search(session, search)
            if search.documents is not None:
                among = set(search.documents)
                found = {chunk_id: each for chunk_id, each in found.items() if each.document_id in among}
            by_word = await words.scores(session, bot, lexical, found)
        if dense is None or not dense.hits:
            return rank(lexical, Near(), search.used.alpha)
        by_meaning = await DenseLeg(self.dense, self.embeddings).scores(
            dense, [passage.chunk_id for passage in lexical.passages]
        )
        return rank(lexical, Near(dense.hits, found, by_word, by_meaning), search.used.alpha)

    async def _still_live(self, search: Search, ranked: list[Ranked]) -> list[Ranked]:
        """Return what can be found by now: a reranker takes its time, too."""
        ids = [each.passage.chunk_id for each in ranked]
        async with self.database.begin([search.bot.workspace_id]) as session:
            live = await repository.passages(session, dict.fromkeys(ids, 0.0), bot_id=search.bot.id)
        return [each for each in ranked if each.passage.chunk_id in live]

    async def _chosen(
        self,
        search: Search,
        ranked: list[Ranked],
        legs: tuple[LegReport, ...],
        steps: tuple[Step, ...],
        started: float,
    ) -> Retrieval:
        selecting = perf_counter()
        selection = await asyncio.to_thread(select, ranked, search.used)
        joined = await join(self.database, search.bot.workspace_id, selection.groups)
        return Retrieval(
            tuple(passage for passage, _ in joined),
            SearchTrace(
                query=search.question,
                settings=search.used,
                legs=legs,
                candidates=bounded(selection.candidates),
                candidate_count=len(ranked),
                passages=tuple(found for _, found in joined),
                milliseconds=milliseconds_since(started),
                steps=(*steps, Step("selection", milliseconds_since(selecting))),
                index_version=None if search.state is None else search.state.version,
            ),
        )

    @property
    def _words(self) -> LexicalLeg:
        return LexicalLeg(self.lexicons, self.encoders)
