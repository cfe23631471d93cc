"""The work queue: rows of `jobs`, claimed under a lease with a fencing token, fair between workspaces.

All times are the database's. They are the statement's, not the transaction's, since a transaction may first wait
for a lock, and a lease must not be old when it begins.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Executable
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import JOBS_TOPIC, Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database, widen
from kyrochat.db.states import JobState
from kyrochat.errors import KyroError
from kyrochat.jobs.statements import (
    CLAIM,
    CLAIM_LOCK,
    COMPLETE,
    COUNT,
    DEQUEUE,
    ENQUEUE,
    FAIL,
    HOLD,
    LAPSED,
    PARK,
    POSTPONE,
    RELEASE,
    RENEW,
    WAKE,
)
from kyrochat.pauses import spread

LOST = "The worker was lost while it worked on this."
MAX_BACKOFF_S = 300.0
# Who deletes must not wait behind a backlog of uploads.
PURGE_PRIORITY = 10
# Whatever is down meanwhile, a purge is tried for days: nobody can ask for it again.
PURGE_ATTEMPTS = 1_000
# Whoever stops between taking the claim lock and its commit is disconnected after this, so the others can go on.
CLAIM_IDLE_MS = 3_000
# Any fixed number that nothing else locks.
_CLAIM_LOCK_KEY = 0x6A6F6273

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that is ours while `lease_token` is its row's; `attempt` counts from 1 and includes this one."""

    id: UUID
    workspace_id: UUID
    kind: str
    payload: dict[str, Any]
    attempt: int
    max_attempts: int
    lease_token: UUID


OnFailed = Callable[[AsyncSession, ClaimedJob, str], Awaitable[None]]
# With the seconds until the next attempt.
OnRetry = Callable[[AsyncSession, ClaimedJob, str, float], Awaitable[None]]


async def leave_as_it_is(session: AsyncSession, job: ClaimedJob, message: str, delay_s: float) -> None:
    """Note nothing about a job that will be tried again."""


class LeaseLost(Exception):
    """Somebody else owns the job by now, or it is gone: whatever was done for it must not be kept."""


class RetryLater(KyroError):
    """Try the job again after `delay_s`, if it has attempts left."""

    def __init__(self, message: str, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class GiveUp(KyroError):
    """Fail the job, whatever attempts it has left."""


async def enqueue(
    session: AsyncSession,
    changes: Changes,
    *,
    workspace_id: UUID,
    kind: str,
    payload: Mapping[str, Any],
    dedupe_key: str | None = None,
    priority: int = 0,
    max_attempts: int = 5,
    delay_s: float = 0.0,
) -> UUID | None:
    """Add a job in the caller's transaction, wake the workers when it commits, and return the job's id.

    `payload` holds ids, never content. A greater `priority` goes first, within its workspace. With `delay_s` it is
    done no earlier than that. None comes back when a job of that `dedupe_key` is queued or running already.
    """
    await session.flush()  # the workspace may be as new as its job
    values = {
        "id": new_id(),
        "workspace_id": workspace_id,
        "kind": kind,
        "payload": dict(payload),
        "priority": priority,
        "max_attempts": max_attempts,
        "dedupe_key": dedupe_key,
        "delay_s": delay_s,
    }
    job_id: UUID | None = (await _run(session, ENQUEUE, values)).scalar_one_or_none()
    if job_id is not None:
        await changes.announce(session, [JOBS_TOPIC])
    return job_id


async def dequeue(session: AsyncSession, dedupe_key: str) -> bool:
    """Remove the job of that key if it is queued, in the caller's transaction, and say whether it was."""
    return (await _run(session, DEQUEUE, {"dedupe_key": dedupe_key})).rowcount > 0


async def complete(session: AsyncSession, job: ClaimedJob) -> None:
    """Delete the job in the handler's last transaction, best as its first statement.

    From then on the transaction holds the row, so nobody takes the job for lost, however long it takes. With its
    commit the job is over: what the handler does after that may be cut short.

    Raises:
        LeaseLost: the job is somebody else's. Let it through: the transaction must roll back.
    """
    await _fenced(session, COMPLETE, job, {})


async def hold(session: AsyncSession, job: ClaimedJob) -> None:
    """Make sure that the job stays ours until the transaction ends: the fence of each step that writes.

    Raises:
        LeaseLost: the job is somebody else's. Let it through: the transaction must roll back.
    """
    await _fenced(session, HOLD, job, {})


async def park(session: AsyncSession, job: ClaimedJob) -> None:
    """Queue the job again as if it had not been claimed, until `wake` lets it go.

    Raises:
        LeaseLost: the job is somebody else's. Let it through: the transaction must roll back.
    """
    await _fenced(session, PARK, job, {})


async def postpone(session: AsyncSession, job: ClaimedJob, message: str, delay_s: float, waits: int) -> None:
    """Queue the job again as if it had not been claimed, for after `delay_s`; its payload tells how often it waited.

    Raises:
        LeaseLost: the job is somebody else's. Let it through: the transaction must roll back.
    """
    await _fenced(session, POSTPONE, job, {"message": message, "delay_s": delay_s, "waits": waits})


async def wake(session: AsyncSession, changes: Changes, workspace_id: UUID, kind: str, bot_id: UUID) -> int:
    """Let the parked jobs go whose payload names the bot; return how many."""
    woken = (await _run(session, WAKE, {"workspace_id": workspace_id, "kind": kind, "bot_id": str(bot_id)})).rowcount
    await changes.announce(session, [JOBS_TOPIC])
    return woken


async def counts(session: AsyncSession) -> list[tuple[str, str, int]]:
    """Return (kind, state, how many) of all jobs that there are; those that were done leave no row."""
    return [(row.kind, row.state, row.jobs) for row in await _run(session, COUNT, {})]


@dataclass(slots=True)
class Queue:
    """One worker's side of the queue; `database` is its role's. At most `per_workspace` jobs of each run at once."""

    database: Database
    lease_s: float = 30.0
    per_workspace: int = 2
    # The second attempt comes after about this long, each further one after twice as long.
    backoff_s: float = 2.0
    # The one served last: workspaces take turns in the order of their ids.
    _served: UUID = field(default=UUID(int=0))

    async def claim(self, limit: int, kinds: Iterable[str]) -> list[ClaimedJob]:
        """Take up to `limit` jobs of these kinds that are due, and charge each of them an attempt."""
        async with self.database.begin() as session:
            await self.take_claim_lock(session)
            return await self.claim_alone(session, limit, kinds)

    async def take_claim_lock(self, session: AsyncSession) -> None:
        """Let one claim at a time through, until the transaction's end.

        Its own statement: within the claim it would be taken after the snapshot, and the cap counted on old rows.
        """
        await _run(session, CLAIM_LOCK, {"key": _CLAIM_LOCK_KEY, "idle_ms": str(CLAIM_IDLE_MS)})

    async def claim_alone(self, session: AsyncSession, limit: int, kinds: Iterable[str]) -> list[ClaimedJob]:
        """Claim in a transaction that has taken the claim lock."""
        values = {"kinds": list(kinds), "limit": limit, "cap": self.per_workspace}
        values |= {"after": self._served, "lease_s": self.lease_s}
        rows = (await _run(session, CLAIM.columns(payload=JSONB), values)).all()
        jobs = [ClaimedJob(*row[1:]) for row in sorted(rows, key=lambda row: row[0])]
        if jobs:
            self._served = jobs[-1].workspace_id
        return jobs

    async def renew(self, jobs: Sequence[ClaimedJob]) -> set[UUID]:
        """Extend the leases and return the ids of the jobs that are still ours."""
        async with self.database.begin() as session:
            return set((await _run(session, RENEW, {**_leases(jobs), "lease_s": self.lease_s})).scalars())

    async def release(self, jobs: Sequence[ClaimedJob]) -> None:
        """Give jobs back as if they had never been claimed; those that are not ours any more stay as they are."""
        async with self.database.begin() as session:
            await _run(session, RELEASE, _leases(jobs))

    def backoff(self, attempt: int) -> float:
        """Return how many seconds to wait after `attempt`; spread out, so that jobs that failed together part."""
        return spread(min(MAX_BACKOFF_S, self.backoff_s * 2.0 ** min(attempt - 1, 20)))

    async def fail(
        self,
        job: ClaimedJob,
        message: str,
        retry_in_s: float | None,
        on_failed: OnFailed,
        on_retry: OnRetry = leave_as_it_is,
        *,
        lapsed: bool = False,
    ) -> None:
        """Queue the job again; or make it FAILED, when there is no retry or no attempt left.

        `on_retry` or `on_failed` runs in the same transaction; if it raises, the job stays as it is. With `lapsed`
        only a job whose lease is over is touched.

        Raises:
            LeaseLost: the job is somebody else's.
        """
        failed = retry_in_s is None or job.attempt >= job.max_attempts
        state = JobState.FAILED if failed else JobState.QUEUED
        values = {"lapsed": lapsed, "state": state, "delay_s": retry_in_s or 0.0, "message": message}
        async with self.database.begin() as session:
            await _fenced(session, FAIL, job, values)
            await widen(session, job.workspace_id)
            if failed:
                await on_failed(session, job, message)
            else:
                await on_retry(session, job, message, retry_in_s or 0.0)
        level, end = (logging.ERROR, "failed") if failed else (logging.WARNING, "will be tried again")
        log.log(level, "Job %s (%s) %s after attempt %d: %s", job.id, job.kind, end, job.attempt, message)

    async def reap(self, on_failed: Mapping[str, OnFailed], on_retry: Mapping[str, OnRetry] | None = None) -> None:
        """Let jobs of these kinds whose leases are over fail as `LOST`, each in its own transaction."""
        again = on_retry or {}
        async with self.database.begin() as session:
            rows = (await _run(session, LAPSED.columns(payload=JSONB), {"kinds": list(on_failed)})).all()
        for job in [ClaimedJob(*row) for row in rows]:
            try:
                backoff_s, noted = self.backoff(job.attempt), again.get(job.kind, leave_as_it_is)
                await self.fail(job, LOST, backoff_s, on_failed[job.kind], noted, lapsed=True)
            except LeaseLost:
                continue  # another worker was first, or its owner lives after all
            except Exception as error:  # one job must not keep up the others; the next sweep tries it again
                log.error("Job %s (%s) is lost, and failing it failed (%s)", job.id, job.kind, type(error).__name__)


async def _run(
    session: AsyncSession, statement: Executable, values: Mapping[str, Any]
) -> CursorResult[*tuple[Any, ...]]:
    return await (await session.connection()).execute(statement, values)


async def _fenced(session: AsyncSession, statement: Executable, job: ClaimedJob, values: Mapping[str, Any]) -> None:
    """Run a statement that finds the job's row only while it is ours."""
    if (await _run(session, statement, {"id": job.id, "token": job.lease_token, **values})).rowcount == 0:
        raise LeaseLost(f"Job {job.id} is not ours any more")


def _leases(jobs: Sequence[ClaimedJob]) -> dict[str, list[UUID]]:
    return {"ids": [job.id for job in jobs], "tokens": [job.lease_token for job in jobs]}
