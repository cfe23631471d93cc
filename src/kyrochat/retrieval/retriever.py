"""Finds passages for a question. Search, answers and evaluation use this very path."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from uuid import UUID

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval import repository
from kyrochat.retrieval.dense import DenseRetrieval, NoVectors
from kyrochat.retrieval.encodings import ENCODERS, Encoders
from kyrochat.retrieval.joining import join
from kyrochat.retrieval.legs import Outcome, milliseconds_since, off, run
from kyrochat.retrieval.lexical_leg import SCHEME as LEXICAL_SCHEME
from kyrochat.retrieval.lexical_leg import LexicalHits, LexicalLeg
from kyrochat.retrieval.lexicons import Lexicons
from kyrochat.retrieval.ranking import Near, Ranked, rank
from kyrochat.retrieval.search_settings import Leg, SearchSettings, UsedSettings
from kyrochat.retrieval.selection import select
from kyrochat.retrieval.trace import LegStatus, SearchTrace, Step, bounded
from kyrochat.retrieval.types import Passage

CANDIDATES = 50
# A question may be pasted text; what follows this many characters would only blur it.
MAX_QUERY_CHARS = 4_000
# An answer waits no longer than this for its lexical leg: a scan of a million chunks takes less.
LEXICAL_BUDGET_S = 5.0

LEFT_OUT = "The search's settings leave it out."

DenseHits = Sequence[tuple[UUID, float]]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages of a search, best first, and how they were found."""

    passages: tuple[Passage, ...]
    trace: SearchTrace


@dataclass(frozen=True, slots=True)
class Retriever:
    """Lexical retrieval in PostgreSQL, fused with dense retrieval where that is set up."""

    database: Database
    lexicons: Lexicons = field(default_factory=Lexicons)
    dense: DenseRetrieval | None = None
    lexical_budget_s: float = LEXICAL_BUDGET_S
    encoders: Encoders = ENCODERS

    async def retrieve(self, bot: Bot, question: str, settings: SearchSettings | None = None) -> Retrieval:
        """Return passages of the bot's live documents, best first; none when nothing is near.

        Without settings, and where they say nothing, the bot's own count.

        Raises:
            ProviderUnavailable: no leg came to its end.
        """
        started = perf_counter()
        used = (settings or SearchSettings()).resolved(bot)
        # A model may ask, too, and write what PostgreSQL cannot hold.
        question = question.replace("\x00", "").encode("utf-8", "ignore").decode()[:MAX_QUERY_CHARS]
        lexical, dense = await self._run_legs(bot, question, used)
        fusing = perf_counter()
        ranked = await self._together(bot, question, lexical.value or LexicalHits(), dense.value or (), used)
        fused_in = Step("fusion", milliseconds_since(fusing))
        selecting = perf_counter()
        selection = await asyncio.to_thread(select, ranked, used)
        joined = await join(self.database, bot.workspace_id, selection.groups)
        return Retrieval(
            tuple(passage for passage, _ in joined),
            SearchTrace(
                query=question,
                settings=used,
                legs=(lexical.report, dense.report),
                candidates=bounded(selection.candidates),
                candidate_count=len(ranked),
                passages=tuple(found for _, found in joined),
                milliseconds=milliseconds_since(started),
                steps=(fused_in, Step("selection", milliseconds_since(selecting))),
            ),
        )

    async def _run_legs(
        self, bot: Bot, question: str, used: UsedSettings
    ) -> tuple[Outcome[LexicalHits], Outcome[DenseHits]]:
        lexical_leg = asyncio.create_task(self._lexical(bot, question, used))
        dense_leg = asyncio.create_task(self._dense(bot, question, used))
        try:
            lexical, dense = await lexical_leg, await dense_leg
        finally:
            lexical_leg.cancel()
            dense_leg.cancel()
        tried = [each.report for each in (lexical, dense) if each.report.status is not LegStatus.OFF]
        if tried and all(report.status is not LegStatus.OK for report in tried):
            raise ProviderUnavailable("The documents could not be searched. Try again in a few seconds.")
        return lexical, dense

    async def _lexical(self, bot: Bot, question: str, used: UsedSettings) -> Outcome[LexicalHits]:
        if Leg.LEXICAL not in used.legs:
            return Outcome(off(Leg.LEXICAL, LEFT_OUT))

        async def work() -> LexicalHits:
            async with self.database.begin([bot.workspace_id]) as session:
                return await self._words.search(session, bot, question, used)

        outcome = await run(Leg.LEXICAL, work(), budget_s=self.lexical_budget_s, scheme=LEXICAL_SCHEME)
        return outcome.counting(len(outcome.value.passages) if outcome.value else 0)

    async def _dense(self, bot: Bot, question: str, used: UsedSettings) -> Outcome[DenseHits]:
        if self.dense is None:
            return Outcome(off(Leg.DENSE, "This server makes no embeddings."))
        if Leg.DENSE not in used.legs:
            return Outcome(off(Leg.DENSE, LEFT_OUT))
        try:
            target, embedder = await self.dense.serving(bot.workspace_id, bot.id)
        except NoVectors as reason:
            return Outcome(off(Leg.DENSE, str(reason)))
        work = self.dense.find(target, embedder, question)
        outcome = await run(Leg.DENSE, work, budget_s=self.dense.budget_s, scheme=target.scheme)
        return outcome.counting(len(outcome.value or ()))

    async def _together(
        self, bot: Bot, question: str, lexical: LexicalHits, dense: DenseHits, used: UsedSettings
    ) -> list[Ranked]:
        if not dense:
            return rank(lexical, Near(), used.alpha)
        by_words = {passage.chunk_id for passage in lexical.passages}
        ids = by_words | {chunk_id for chunk_id, _ in dense}
        async with self.database.begin([bot.workspace_id]) as session:
            # The dense leg takes its time: only what is live by now may be shown, whatever an index still holds.
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            found = await repository.passages(session, dict.fromkeys(ids, 0.0), bot_id=bot.id)
            if not by_words <= found.keys():
                # A version went live meanwhile, or a document is gone. Words are looked up again fast enough.
                lexical = await self._words.search(session, bot, question, used)
            near = Near(dense, found, await self._words.scores(session, bot, lexical, found))
        return rank(lexical, near, used.alpha)

    @property
    def _words(self) -> LexicalLeg:
        return LexicalLeg(self.lexicons, self.encoders)
