"""Asks questions of a bot: by the very path of search and answers."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.evaluation import repository
from kyrochat.evaluation.filters import read_filter
from kyrochat.evaluation.scoring import score
from kyrochat.evaluation.types import Answered, Hit, Question, Scored
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.trace import LegStatus


class Asker(Protocol):
    """Searches for one question."""

    async def ask(self, question: Question) -> Answered:
        """Return what was found.

        Raises:
            KyroError: the search failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class BotAsker:
    """Asks a bot of this server's own database."""

    database: Database
    retriever: Retriever
    bot: Bot
    settings: SearchSettings

    async def ask(self, question: Question) -> Answered:
        """Return what the retriever finds, and how long that took it."""
        settings = self.settings
        if question.filter:
            settings = replace(settings, filter=read_filter(question.filter))
        began_at = perf_counter()
        found = await self.retriever.retrieve(self.bot, question.text, settings, fresh=True)
        milliseconds = 1000 * (perf_counter() - began_at)
        ids = {passage.document_id for passage in found.passages}
        async with self.database.begin([self.bot.workspace_id]) as session:
            names = await repository.names(session, self.bot.id, ids)
        hits = tuple(
            Hit(
                str(passage.document_id),
                passage.document_title,
                passage.text,
                passage.score,
                names.get(passage.document_id, frozenset()),
            )
            for passage in found.passages
        )
        late = any(leg.status in (LegStatus.LATE, LegStatus.FAILED) for leg in found.trace.legs)
        return Answered(hits, milliseconds, late)

    async def unknown(self, questions: Sequence[Question]) -> list[str]:
        """Return the documents that questions expect and the bot does not have: none of these can be found."""
        wanted = sorted({name for question in questions for name in question.documents})
        async with self.database.begin([self.bot.workspace_id]) as session:
            known = await repository.known_names(session, self.bot.id, wanted)
        return [name for name in wanted if name not in known]


async def ask_all(asker: Asker, questions: Sequence[Question]) -> AsyncGenerator[Scored, None]:
    """Ask one question after the other, and yield what became of each."""
    for question in questions:
        yield score(question, await asker.ask(question))
