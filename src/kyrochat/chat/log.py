"""The durable log of answers. Nothing is delivered before it is committed.

One writer serves all answers of this process: the first text leaves at once, after that what piled up in `TICK_S`
goes out in one transaction. Each write holds the answers' lease rows, so once somebody else has ended an answer
(a stop from another process, the sweep after a long pause) nothing more can be appended to it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

from kyrochat.chat import log_repository as rows
from kyrochat.chat.ending import BROKEN, Ending, end_answer
from kyrochat.chat.events import AnswerEvent, LogEntry, PassagesFound
from kyrochat.chat.open_answer import AnswerTaken, OpenAnswer
from kyrochat.db.changes import Changes, answer_topic, ended_topic
from kyrochat.db.engine import Database
from kyrochat.db.outage import Outage, is_outage

TICK_S = 0.04
# Where many answers are written, each is told of less often, so that all of them together are 2,500 events a second at
# most: at 200 answers the tick is 80 ms, and each event has twice the text.
TICK_S_PER_ANSWER = 0.0004
RETRY_S = 0.5
# A connection may be dead without a word; what was sent is sent again as it was.
CALL_TIMEOUT_S = 10.0
PAGE_ENTRIES = 500
# A model that answers at once has its first words written together with the passages, not after them.
FIRST_WORDS_S = 0.01

log = logging.getLogger(__name__)


class Unstorable(Exception):
    """The database refuses an event of this answer, and always will; what came after it is dropped."""


@dataclass(slots=True, eq=False)
class AnswerLog:
    """Appends to the logs of this process' answers, and reads all.

    With `for_writing` it writes over connections of its own: a crowd that reads must not hold it up.
    """

    database: Database
    changes: Changes
    for_writing: Database | None = None
    tick_s: float = TICK_S
    _open: dict[UUID, OpenAnswer] = field(default_factory=dict)
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _urgent: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def _written_to(self) -> Database:
        return self.for_writing or self.database

    @property
    def open_answers(self) -> list[OpenAnswer]:
        """The answers that this process writes now."""
        return list(self._open.values())

    def is_open(self, message_id: UUID) -> bool:
        """Say whether this process writes the answer, so that its entries are at hand."""
        return message_id in self._open

    def open(self, message_id: UUID, workspace_id: UUID, token: UUID) -> OpenAnswer:
        """Begin to write an answer whose lease `token` holds. `close` it in the end."""
        answer = self._open[message_id] = OpenAnswer(message_id, workspace_id, token)
        return answer

    def close(self, answer: OpenAnswer) -> None:
        """Forget an answer; what was not written is dropped, and watchers read from the database again."""
        self._open.pop(answer.message_id, None)
        self.changes.ring([answer_topic(answer.message_id)])

    def append(self, answer: OpenAnswer, event: AnswerEvent) -> None:
        """Queue an event for the next write.

        Raises:
            AnswerTaken: somebody else has ended the answer.
            Unstorable: an event before this one could not be stored.
        """
        if answer.taken.is_set():
            raise AnswerTaken
        if answer.is_unstorable:
            raise Unstorable
        answer.add(event)
        if isinstance(event, PassagesFound):
            asyncio.get_running_loop().call_later(FIRST_WORDS_S, self._work.set)
            return
        self._work.set()
        # Whoever waits for an answer waits for its first words.
        if not answer.has_words:
            self._urgent.set()

    async def finish(self, answer: OpenAnswer, ending: Ending) -> None:
        """Write what is queued, then end the answer: text, citations, status and last event in one transaction.

        An answer with an event that could not be stored is BROKEN, however it would have ended.

        Raises:
            AnswerTaken: somebody else has ended it.
        """
        self._urgent.set()
        await answer.written()
        if answer.is_unstorable:
            ending = BROKEN
        outage = Outage(f"Ending answer {answer.message_id}")
        while True:
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S), self._written_to.begin([answer.workspace_id]) as session:
                    if await end_answer(session, self.changes, answer.message_id, ending, token=answer.token):
                        return
            except Exception as error:
                if not is_outage(error):
                    raise
                outage.goes_on(error)
                await asyncio.sleep(RETRY_S)
            else:
                answer.give_up()
                raise AnswerTaken

    async def read(self, message_id: UUID, workspace_id: UUID, after: int, *, has_ended: bool) -> list[LogEntry]:
        """Return the committed entries after `after`, in order: all that this process has, or one page of them.

        With `has_ended` they are read from the database: another process may have ended an answer of this one, which
        has not heard of it yet.
        """
        answer = None if has_ended else self._open.get(message_id)
        if answer is not None:
            return answer.committed[after:]
        async with self.database.begin([workspace_id]) as session:
            return await rows.entries(session, message_id, after, PAGE_ENTRIES)

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None, None]:
        """Run the writer meanwhile."""
        task = asyncio.create_task(self._write_all(), name="answer-log-writer")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _write_all(self) -> None:
        outage = Outage("Writing answers")
        count = 0
        while True:
            await self._work.wait()
            self._work.clear()
            self._urgent.clear()
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    count = await self._write_queued()
            except Exception as error:
                outage.goes_on(error)
                self._work.set()
                await asyncio.sleep(RETRY_S)
                continue
            outage.is_over()
            # After a write that was tried again there is what was queued behind it.
            if any(answer.has_queued for answer in self.open_answers):
                self._work.set()
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(self.tick_s, count * TICK_S_PER_ANSWER)):
                    await self._urgent.wait()

    async def _write_queued(self) -> int:
        """Write what has piled up, and return of how many answers."""
        batch = {answer: entries for answer in self.open_answers if (entries := answer.to_send())}
        try:
            await self._write(batch)
        except Exception as error:
            if is_outage(error):
                raise
            # Find the answer that cannot be stored: it must not hold up the others.
            for answer, entries in batch.items():
                await self._write_alone(answer, entries)
        return len(batch)

    async def _write_alone(self, answer: OpenAnswer, entries: list[LogEntry]) -> None:
        try:
            await self._write({answer: entries})
        except Exception as error:
            if is_outage(error):
                raise
            # Its text may be in the error: only the kind of it is logged.
            state = getattr(getattr(error, "orig", None), "sqlstate", None)
            log.error(
                "An answer cannot be stored (%s, SQLSTATE %s)",
                type(error).__name__,
                state,
                extra={"message_id": str(answer.message_id)},
            )
            answer.refuse()

    async def _write(self, batch: Mapping[OpenAnswer, list[LogEntry]]) -> None:
        if not batch:
            return
        topics = [answer_topic(answer.message_id) for answer in batch]
        async with self._written_to.begin({answer.workspace_id for answer in batch}) as session:
            tokens = {answer.message_id: answer.token for answer in batch}
            new = [
                (answer.message_id, answer.workspace_id, entry.sequence, entry.event)
                for answer, entries in batch.items()
                for entry in entries
            ]
            held = await rows.add_held_entries(session, tokens, new)
            await self.changes.announce(session, topics)
        for answer in batch:
            if answer.message_id in held:
                answer.stored()
            else:
                answer.give_up()
                self.changes.ring([ended_topic(answer.message_id)])
        self.changes.ring(topics)
