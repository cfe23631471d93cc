"""Works on jobs in this process: claims them, keeps their leases, and outlives outages of the database."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kyrochat.db.changes import JOBS_TOPIC, POLL_S, Bell, Changes
from kyrochat.db.outage import Outage, is_outage
from kyrochat.errors import KyroError
from kyrochat.jobs.queue import (
    ClaimedJob,
    GiveUp,
    LeaseLost,
    OnFailed,
    OnRetry,
    Queue,
    RetryLater,
    complete,
    leave_as_it_is,
)
from kyrochat.metrics import JOBS

# A connection may be dead without a word; this ends the wait for its answer.
CALL_TIMEOUT_S = 15.0
# How long the end of a job is tried to be stored. After that its lease lapses, and it is swept up.
SETTLE_S = 300.0
# What cancelled handlers have for cleaning up, and the database for taking their jobs back.
GIVE_BACK_S = 3.0

Handler = Callable[[ClaimedJob], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is done for jobs of one kind, and what in the transaction that makes one FAILED.

    The handler opens its own transactions, for its job's workspace, with `complete` in the last one; without it the
    job is completed when it returns. Work for the processor belongs in a child process, or no lease is renewed
    meanwhile. `on_failed` and, of the transaction that queues the job again, `on_retry` see the job's workspace; if
    they raise, they are tried again.
    """

    handler: Handler
    on_failed: OnFailed
    on_retry: OnRetry = leave_as_it_is


@dataclass(slots=True, eq=False)
class Worker:
    """Up to `concurrency` jobs at once. The queue's pool needs that many connections, and two more."""

    queue: Queue
    changes: Changes
    kinds: Mapping[str, Kind]
    concurrency: int
    beat_s: float = 10.0
    _running: dict[asyncio.Task[None], ClaimedJob] = field(default_factory=dict)
    _bell: Bell = field(default_factory=Bell)
    _sweep_at: float = float("-inf")
    _grace_s: float | None = None
    _ended: asyncio.Event | None = None

    async def run(self) -> None:
        """Work until `stop`; or until cancelled, which gives the jobs back at once. No outage ends it."""
        self._ended = asyncio.Event()
        beat = asyncio.create_task(self._beat(), name="jobs-beat")
        try:
            with self.changes.watch(JOBS_TOPIC) as self._bell:
                await self._claim_until_stopped()
                await _finish(self._running, self._grace_s or 0.0)
        finally:
            try:
                await self._give_back()
            finally:
                beat.cancel()
                self._ended.set()

    async def stop(self, grace_s: float = 20.0) -> None:
        """Claim no more, let what runs end within `grace_s`, give back the rest; returns when `run` has ended."""
        self._grace_s = grace_s
        self._bell.ring()
        if self._ended is not None:
            await self._ended.wait()

    async def _claim_until_stopped(self) -> None:
        outage, loop = Outage("Claiming jobs"), asyncio.get_running_loop()
        while self._grace_s is None:
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await self._sweep_and_claim()
            except Exception as error:  # whatever it is, a worker that has left helps nobody
                # Other leases lapsed in the outage too: everyone gets the time to renew them.
                self._sweep_at = loop.time() + self.beat_s + POLL_S
                await self._bell.wait(outage.goes_on(error))
            else:
                outage.is_over()
                # Rings for a new job as well as for a free place. Delayed and lost jobs have no bell.
                await self._bell.wait(POLL_S)

    async def _sweep_and_claim(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._sweep_at:
            await self.queue.reap(
                {name: kind.on_failed for name, kind in self.kinds.items()},
                {name: kind.on_retry for name, kind in self.kinds.items()},
            )
            self._sweep_at = loop.time() + POLL_S
        free = self.concurrency - len(self._running)
        if free <= 0:
            return
        for job in await self.queue.claim(free, self.kinds):
            task = asyncio.create_task(self._work(job), name=f"job-{job.id}")
            self._running[task] = job
            task.add_done_callback(self._ended_one)

    def _ended_one(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._bell.ring()

    async def _work(self, job: ClaimedJob) -> None:
        backoff_s = self.queue.backoff(job.attempt)
        try:
            await self.kinds[job.kind].handler(job)
        except LeaseLost:
            JOBS.labels(job.kind, "lost").inc()
            log.warning("Job %s (%s), attempt %d: it was taken over, so its work is dropped", *_name(job))
        except GiveUp as error:
            await self._fail(job, error.message, None)
        except RetryLater as error:
            await self._fail(job, error.message, error.delay_s)
        except KyroError as error:
            await self._fail(job, error.message, backoff_s)
        except Exception as error:
            if is_outage(error):
                log.warning("Job %s (%s), attempt %d: %s, an outage", *_name(job), type(error).__name__)
                await self._fail(job, "The database or the store of files was not available.", backoff_s)
                return
            log.error("Job %s (%s), attempt %d: %s at %s", *_name(job), type(error).__name__, _origin(error))
            await self._fail(job, f"An unexpected failure ({type(error).__name__}).", backoff_s)
        else:
            JOBS.labels(job.kind, "done").inc()
            await self._settle(job, lambda: self._complete(job))

    async def _complete(self, job: ClaimedJob) -> None:
        async with self.queue.database.begin() as session:
            await complete(session, job)

    async def _fail(self, job: ClaimedJob, message: str, retry_in_s: float | None) -> None:
        kind = self.kinds[job.kind]
        JOBS.labels(job.kind, "failed").inc()
        await self._settle(job, lambda: self.queue.fail(job, message, retry_in_s, kind.on_failed, kind.on_retry))

    async def _settle(self, job: ClaimedJob, store: Callable[[], Awaitable[object]]) -> None:
        """Store a job's end, in spite of an outage. A lost lease is none: usually the handler completed the job."""
        outage = Outage(f"Storing the end of job {job.id}")
        try:
            async with asyncio.timeout(SETTLE_S):
                while True:
                    try:
                        await store()
                        outage.is_over()
                        return
                    except LeaseLost:
                        return
                    except Exception as error:
                        await asyncio.sleep(outage.goes_on(error))
        except TimeoutError:
            log.error("Job %s (%s), attempt %d: its end could not be stored", *_name(job))

    async def _beat(self) -> None:
        outage, pause_s = Outage("Renewing leases"), self.beat_s
        missed: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(pause_s)
            running = dict(self._running)
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    ours = await self.queue.renew(list(running.values()))
            except Exception as error:
                pause_s = outage.goes_on(error)
                continue
            outage.is_over()
            pause_s = self.beat_s
            # A handler completes its job in its last transaction: it is given one beat more to come to its end.
            was_missed, missed = missed, {task for task, job in running.items() if job.id not in ours}
            for task in was_missed & missed:
                if task.cancel():
                    log.warning("Job %s (%s), attempt %d: it is not ours any more; stopping", *_name(running[task]))

    async def _give_back(self) -> None:
        jobs = list(self._running.values())
        for task in self._running:
            task.cancel()
        await _finish(self._running, GIVE_BACK_S)
        try:
            async with asyncio.timeout(GIVE_BACK_S):
                await self.queue.release(jobs)
        except Exception as error:  # their leases will lapse
            log.warning("%d jobs could not be given back (%s)", len(jobs), type(error).__name__)


async def _finish(tasks: Mapping[asyncio.Task[None], ClaimedJob], timeout_s: float) -> None:
    if tasks:
        await asyncio.wait(set(tasks), timeout=timeout_s)


def _origin(error: Exception) -> str:
    """Return the way to where it was raised, through our code. Its own text may quote a document: not for the log."""
    *others, last = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in others if "kyrochat" in Path(frame.filename).parts]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in [*ours, last])


def _name(job: ClaimedJob) -> tuple[object, str, int]:
    return job.id, job.kind, job.attempt
