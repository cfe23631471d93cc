"""What the tests of answering share: processes on one database, and somebody who asks them."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import event, text
from sqlmodel import col, select

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat import log_repository
from kyrochat.chat.answer import Answerer
from kyrochat.chat.events import AnswerEnded, CitationAdded, LogEntry, Quote, TextDelta
from kyrochat.chat.exchanges import Exchange
from kyrochat.chat.http_tools import HttpTools
from kyrochat.chat.log import AnswerLog
from kyrochat.chat.queue import AnswerQueue
from kyrochat.chat.running import LEASE, RunningAnswers
from kyrochat.chat.searching import SearchService
from kyrochat.chat.service import ChatService
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import AnswerLease, Bot, Citation, Document, Message
from kyrochat.retrieval.budgets import Budget
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.retriever import Retriever
from tests.chat.scripted_model import ScriptedModel

HANDBOOK = (
    "# The hive\n\n"
    "A hive has a single queen who lays up to 2,000 eggs a day. "
    "Worker bees live for six weeks in summer. "
    "Drones are expelled from the hive in autumn.\n"
)
QUESTION = "How many eggs does the queen of a hive lay, and how long do worker bees live?"


@dataclass(frozen=True, slots=True, repr=False)
class Process:
    """One process' part of answering, as the application composes it."""

    database: Database
    changes: Changes
    running: RunningAnswers
    service: ChatService

    @property
    def searches(self) -> SearchService:
        return SearchService(self.database, self.running.answerer.retriever)

    @property
    def log(self) -> AnswerLog:
        return self.running.answerer.log


@asynccontextmanager
async def process(
    url: str,
    model: AnswerModel,
    *,
    lease: timedelta = LEASE,
    grace_s: float = 0.0,
    to_store_s: float = 30.0,
    hears: bool = True,
    budget: Budget = Budget(),  # noqa: B008
    queue: AnswerQueue | None = None,
    http: HttpTools | None = None,
) -> AsyncGenerator[Process, None]:
    """Answer questions on the database meanwhile. One that does not hear has lost its bells from other processes."""
    database = open_database(url)
    changes = Changes()
    retriever = Retriever(database, lexical_budget_s=60)  # a machine may stand still for a while
    answerer = Answerer(database, AnswerLog(database, changes), retriever, model, budget, http)
    running = RunningAnswers(database, changes, answerer, lease, grace_s, to_store_s, queue or AnswerQueue())
    try:
        async with changes.listening(database.engine) if hears else nullcontext(), running.alive():
            yield Process(database, changes, running, ChatService(database, changes, running))
    finally:
        await database.close()


@dataclass(frozen=True, slots=True, repr=False)
class Chat:
    """Somebody with a bot that has read the handbook, in front of process A; process B is next door."""

    a: Process
    model: ScriptedModel
    viewer: Viewer
    bot: Bot
    document: Document
    database: Database
    url: str

    async def conversation(self) -> UUID:
        return (await self.a.service.start(self.viewer, self.bot.id, None)).id

    async def ask(self, question: str = QUESTION) -> Exchange:
        """Ask in a new conversation."""
        return await self.a.service.send(self.viewer, await self.conversation(), question)

    async def watch(self, message_id: UUID, after: int = 0, *, on: Process | None = None) -> list[LogEntry]:
        """Return the entries after `after`, once the last one has come."""
        async with aclosing((on or self.a).service.events(self.viewer, message_id, after)) as events:
            return [entry async for entry in events]

    async def watch_until(self, message_id: UUID, text: str, *, on: Process | None = None) -> list[LogEntry]:
        """Return the entries up to the one that completes `text`."""
        seen: list[LogEntry] = []
        async with aclosing((on or self.a).service.events(self.viewer, message_id, 0)) as events:
            async for entry in events:
                seen.append(entry)
                if text_of(seen) == text:
                    break
        return seen

    async def answer(self, question: str = QUESTION) -> tuple[Message, list[LogEntry]]:
        """Ask, watch to the end, and return the stored answer with all that was seen."""
        exchange = await self.ask(question)
        entries = await self.watch(exchange.answer.id)
        return await self.message(exchange.answer.id), entries

    async def message(self, message_id: UUID) -> Message:
        return await self.a.service.message(self.viewer, message_id)

    async def stored(self, message_id: UUID) -> list[LogEntry]:
        """Return the log as it is on disk, over a connection that answering does not use."""
        async with self.database.begin(self.viewer.workspaces) as session:
            return await log_repository.entries(session, message_id, 0)

    async def citations(self, message_id: UUID) -> list[Quote]:
        """Return the rows, as quotes."""
        async with self.database.begin(self.viewer.workspaces) as session:
            query = select(Citation).where(Citation.message_id == message_id).order_by(col(Citation.number))
            found = list(await session.exec(query))
        assert all(row.document_id is not None for row in found)
        return [
            Quote(
                number=row.number,
                document_id=row.document_id or UUID(int=0),
                document_title=row.document_title,
                document_version=row.document_version,
                start=row.start,
                end=row.end,
                quote=row.quote,
                page=row.page,
            )
            for row in found
        ]

    async def run(self, statement: str) -> None:
        """Change what is stored, behind everybody's back."""
        async with self.database.begin(self.viewer.workspaces) as session:
            await (await session.connection()).execute(text(statement))

    async def column(self, query: str) -> list[object]:
        """Return the first column of a query's rows."""
        async with self.database.begin(self.viewer.workspaces) as session:
            return list((await (await session.connection()).execute(text(query))).scalars())

    async def some(self, query: str) -> bool:
        """Say whether a query without a column list finds rows."""
        return bool((await self.column(query.replace("SELECT", "SELECT count(*)", 1)))[0])

    async def leases(self) -> list[UUID]:
        """Return the answers that somebody is said to write."""
        async with self.database.begin() as session:
            return list(await session.exec(select(AnswerLease.message_id)))


def text_of(entries: list[LogEntry]) -> str:
    return "".join(entry.event.text for entry in entries if isinstance(entry.event, TextDelta))


def quotes_of(entries: list[LogEntry]) -> list[Quote]:
    return [entry.event.citation for entry in entries if isinstance(entry.event, CitationAdded)]


def end_of(entries: list[LogEntry]) -> AnswerEnded:
    """Return the one end, which is the last entry."""
    ends = [entry.event for entry in entries if isinstance(entry.event, AnswerEnded)]
    assert len(ends) == 1
    assert entries[-1].event is ends[0]
    return ends[0]


def is_gapless(entries: list[LogEntry], after: int = 0) -> bool:
    return [entry.sequence for entry in entries] == list(range(after + 1, after + 1 + len(entries)))


@contextmanager
def statements(database: Database) -> Generator[list[tuple[str, Any]], None, None]:
    """Give the statements that are run meanwhile, with their values."""
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        seen.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
