"""The answers of this process, running or in line: tasks, leases, and the sweep for those of dead processes.

An answer in line is stored, has a lease and can be watched and stopped like one that is being written. When its process
dies it is INTERRUPTED without a word: another process would have to take it over with all others at the same moment.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from kyrochat.chat import log_repository as rows
from kyrochat.chat.answer import Answerer, Assignment
from kyrochat.chat.ending import Ending, end_answer
from kyrochat.chat.open_answer import AnswerTaken, OpenAnswer
from kyrochat.chat.queue import AnswerQueue, Asker
from kyrochat.db.changes import Changes, ended_topic
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.db.outage import Outage, is_outage
from kyrochat.db.states import MessageStatus
from kyrochat.errors import Overloaded
from kyrochat.pauses import spread
from kyrochat.retrieval.search import Retrieval
from kyrochat.retrieval.search_settings import DocumentFilter

T = TypeVar("T")

LEASE = timedelta(seconds=30)
SWEPT_AT_ONCE = 100
# So many questions are stored at once, since each takes a connection of the pool; so many others wait for that, and
# so long. Who then has to be refused hears it while he still waits for it.
STORED_AT_ONCE = 8
MAX_TO_STORE = 300
TO_STORE_S = 1.2
# After a stop the other answers get this long to finish by themselves.
GRACE_S = 5.0
# A connection may be dead without a word; this ends the wait for its answer.
CALL_TIMEOUT_S = 10.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    writing: asyncio.Task[None]
    guard: asyncio.Task[None]
    has_begun: bool = False


@dataclass(slots=True, eq=False)
class RunningAnswers:
    """Runs answers under leases."""

    database: Database
    changes: Changes
    answerer: Answerer
    lease: timedelta = LEASE
    grace_s: float = GRACE_S
    to_store_s: float = TO_STORE_S
    queue: AnswerQueue = field(default_factory=AnswerQueue)
    _runs: dict[UUID, _Run] = field(default_factory=dict)
    _storing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STORED_AT_ONCE))
    _to_store: int = 0
    _endings: set[asyncio.Task[Any]] = field(default_factory=set)
    # That were begun ahead. None outlives its answer.
    _searches: set[asyncio.Task[Retrieval]] = field(default_factory=set)
    # The database was away the last time that somebody looked; and when the sweep may judge again after that.
    _is_away: bool = False
    _judges_from: float = 0.0

    def search_ahead(self, bot: Bot, question: str, wanted: DocumentFilter) -> asyncio.Task[Retrieval] | None:
        """Begin the search for a question that is about to be stored: neither waits for the other.

        None when the answer would have to wait: what is found now may be gone by then.
        """
        if self.queue.waiting:
            return None
        task = asyncio.create_task(self.answerer.search(bot, question, wanted), name="search-ahead")
        self._searches.add(task)
        task.add_done_callback(self._is_done)
        return task

    async def stored(self, storing: Coroutine[Any, Any, T]) -> T:
        """Store a question, which starts its answer, and return the result; it goes on when who asked goes away.

        Raises:
            Overloaded: too many are being stored.
        """
        try:
            await self._wait_to_store()
        except BaseException:
            storing.close()
            raise
        return await self.to_its_end(self._store(storing))

    def must_have_room(self, workspace_id: UUID, asker: str) -> None:
        """Check that one more answer can run or wait. `asker` is whom a place is for, such as `Viewer.counted_as`.

        Raises:
            Overloaded: it cannot.
        """
        self.queue.must_have_room(Asker(workspace_id, asker))

    def start(self, message_id: UUID, workspace_id: UUID, token: UUID, assignment: Assignment, asker: str) -> None:
        """Write the answer in the background as soon as there is a place; `token` holds its lease."""
        answer = self.answerer.log.open(message_id, workspace_id, token)
        in_turn = self._write_in_turn(answer, assignment, Asker(workspace_id, asker))
        writing = asyncio.create_task(in_turn, name=f"answer-{message_id}")
        if (searching := assignment.searching) is not None:
            # What has its end before its turn leaves a search for which nobody waits.
            writing.add_done_callback(lambda _: searching.cancel())
        guard = asyncio.create_task(self._guard(answer, writing), name=f"answer-guard-{message_id}")
        self._runs[message_id] = _Run(writing, guard)

    async def end(self, message_id: UUID, workspace_id: UUID, ending: Ending) -> bool:
        """End an answer with the text so far, wherever it is being written; False when it has ended.

        When it runs here, its provider's stream is closed first, and what was queued is written. Who asked may go
        away meanwhile: an answer whose writing was cancelled must get its end.
        """
        return await self.to_its_end(self._end(message_id, workspace_id, ending))

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work and return its result; it goes on when whoever waits for it goes away."""
        task = asyncio.create_task(work)
        self._endings.add(task)
        task.add_done_callback(self._is_done)
        return await asyncio.shield(task)

    async def _wait_to_store(self) -> None:
        if self._to_store >= MAX_TO_STORE:
            raise Overloaded
        self._to_store += 1
        try:
            async with asyncio.timeout(self.to_store_s):
                await self._storing.acquire()
        except TimeoutError:
            raise Overloaded from None
        finally:
            self._to_store -= 1

    async def _store(self, storing: Coroutine[Any, Any, T]) -> T:
        try:
            return await storing
        finally:
            self._storing.release()

    async def _write_in_turn(self, answer: OpenAnswer, assignment: Assignment, asker: Asker) -> None:
        async with self.queue.place(asker) as has_waited:
            if has_waited:
                # It may have been stopped meanwhile, and its bell been lost: nobody pays a model for that.
                await self._look_at_lease(answer)
                assignment = replace(assignment, searching=None)
            if not answer.taken.is_set():
                self._runs[answer.message_id].has_begun = True
                await self.answerer.write(answer, assignment)

    def _is_done(self, task: asyncio.Task[Any]) -> None:
        self._endings.discard(task)
        self._searches.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; when nobody does any more, asyncio shall not log it

    async def _end(self, message_id: UUID, workspace_id: UUID, ending: Ending) -> bool:
        run = self._runs.get(message_id)
        if run is not None:
            run.writing.cancel()
            await asyncio.wait([run.guard])
        async with self.database.begin([workspace_id]) as session:
            return await end_answer(session, self.changes, message_id, ending)

    @asynccontextmanager
    async def alive(self) -> AsyncGenerator[None, None]:
        """Renew leases and sweep meanwhile; at the end let answers finish a little, then interrupt them."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.answerer.log.writing())
            interval_s = self.lease.total_seconds() / 3
            for what, work in (("Renewing answers' leases", self._renew), ("Sweeping answers", self._sweep)):
                task = asyncio.create_task(self._every(interval_s, work, what))
                stack.push_async_callback(_cancel, task)
            try:
                yield
            finally:
                await self._wind_up()

    async def _guard(self, answer: OpenAnswer, writing: asyncio.Task[None]) -> None:
        """Wait for the writing to end, cancel it once somebody else has ended the answer, and clean up."""
        with self.changes.watch(ended_topic(answer.message_id)) as bell:
            try:
                while not writing.done() and not answer.taken.is_set():
                    ring = asyncio.create_task(bell.wait())
                    await asyncio.wait([writing, ring], return_when=asyncio.FIRST_COMPLETED)
                    if ring.done() and ring.result():
                        await self._look_at_lease(answer)
                    await _cancel(ring)
            finally:
                await _cancel(writing)
                await self._write_queued(answer)
                self.answerer.log.close(answer)
                del self._runs[answer.message_id]
        if not writing.cancelled() and (error := writing.exception()):
            log.error("An answer's task failed", exc_info=error)

    async def _look_at_lease(self, answer: OpenAnswer) -> None:
        # A bell may ring for nothing, so the lease has the word.
        try:
            async with self.database.begin() as session:
                if not await rows.hold_leases(session, {answer.message_id: answer.token}):
                    answer.give_up()
        except Exception as error:
            log.debug("The lease could not be looked at (%s)", type(error).__name__)

    async def _write_queued(self, answer: OpenAnswer) -> None:
        try:
            async with asyncio.timeout(3):
                await answer.written()
        except (TimeoutError, AnswerTaken):  # what was not stored was not seen by anybody either
            log.debug("The last words of an answer were not stored")

    async def _renew(self) -> bool:
        answers = {answer.message_id: answer for answer in self.answerer.log.open_answers}
        if not answers:
            return False
        async with self.database.begin() as session:
            tokens = {message_id: answer.token for message_id, answer in answers.items()}
            ours = await rows.renew_leases(session, tokens, self.lease)
        for message_id, answer in answers.items():
            if message_id not in ours:
                answer.give_up()
        return False

    async def _sweep(self) -> bool:
        """End some answers of dead processes, and say whether there may be more."""
        async with self.database.begin() as session:
            expired = await rows.expired_leases(session, SWEPT_AT_ONCE)
        if not self._may_judge():
            return False
        count = 0
        for message_id, workspace_id in expired:
            if self.answerer.log.is_open(message_id):
                continue  # it lives: an outage has kept us from renewing its lease, which comes next
            try:
                await self._interrupt(message_id, workspace_id)
                count += 1
            except Exception as error:  # one that cannot be ended must not keep the others from their end
                if is_outage(error):
                    raise
                log.error(
                    "An answer could not be interrupted (%s)",
                    type(error).__name__,
                    extra={"message_id": str(message_id)},
                )
        return count > 0 and len(expired) == SWEPT_AT_ONCE

    def _may_judge(self) -> bool:
        """Say whether a lease that is over means that its process is gone.

        After an outage it does not: others have as long as a lease lasts to renew those of answers that live.
        """
        now = asyncio.get_running_loop().time()
        if self._is_away:
            self._is_away = False
            self._judges_from = now + self.lease.total_seconds()
        return now >= self._judges_from

    async def _interrupt(self, message_id: UUID, workspace_id: UUID) -> None:
        async with self.database.begin([workspace_id]) as session:
            ending = Ending(MessageStatus.INTERRUPTED)
            if await end_answer(session, self.changes, message_id, ending, expired=True):
                log.warning("An answer was interrupted: its process is gone", extra={"message_id": str(message_id)})

    async def _every(self, interval_s: float, work: Callable[[], Coroutine[None, None, bool]], what: str) -> None:
        """Do the work now and then, and at once again when it says that there is more."""
        outage = Outage(what)
        while True:
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    if await work():
                        continue
            except Exception as error:
                self._is_away = self._is_away or is_outage(error)
                outage.goes_on(error)
            else:
                outage.is_over()
            # Spread over the interval, so that many processes do not sweep in step.
            await asyncio.sleep(spread(interval_s, least=0.7))

    async def _wind_up(self) -> None:
        self.queue.close()
        in_line = [each for each in self.answerer.log.open_answers if not self._runs[each.message_id].has_begun]
        await asyncio.gather(*(self._interrupt_at_the_end(answer) for answer in in_line))
        if self._runs:
            await asyncio.wait([run.guard for run in self._runs.values()], timeout=self.grace_s)
        if self._endings:
            await asyncio.wait(self._endings)  # a question that is being stored may still start its answer
        await asyncio.gather(*(self._interrupt_at_the_end(answer) for answer in self.answerer.log.open_answers))
        if self._searches:
            await asyncio.wait(self._searches)

    async def _interrupt_at_the_end(self, answer: OpenAnswer) -> None:
        try:
            await self.end(answer.message_id, answer.workspace_id, Ending(MessageStatus.INTERRUPTED))
        except Exception as error:  # the sweep of another process will do it
            log.warning("An answer could not be ended at shutdown (%s)", type(error).__name__)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
