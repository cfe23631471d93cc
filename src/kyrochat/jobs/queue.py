"""The work queue: rows of `jobs`, claimed under a lease with a fencing token, fair between workspaces.

All times are the database's. They are the statement's, not the transaction's, since a transaction may first wait
for a lock, and a lease must not be old when it begins.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CursorResult, Executable, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import JOBS_TOPIC, Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database, widen
from kyrochat.db.states import JobState
from kyrochat.errors import KyroError

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
) -> UUID | None:
    """Add a job in the caller's transaction, wake the workers when it commits, and return the job's id.

    `payload` holds ids, never content. A greater `priority` goes first, within its workspace. None comes back when a
    job of that `dedupe_key` is queued or running already.
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
    }
    job_id: UUID | None = (await _run(session, _ENQUEUE, values)).scalar_one_or_none()
    if job_id is not None:
        await changes.announce(session, [JOBS_TOPIC])
    return job_id


async def complete(session: AsyncSession, job: ClaimedJob) -> None:
    """Delete the job in the handler's last transaction, best as its first statement.

    From then on the transaction holds the row, so nobody takes the job for lost, however long it takes. With its
    commit the job is over: what the handler does after that may be cut short.

    Raises:
        LeaseLost: the job is somebody else's. Let it through: the transaction must roll back.
    """
    await _fenced(session, _COMPLETE, job, {})


async def hold(session: AsyncSession, job: ClaimedJob) -> None:
    """Make sure that the job stays ours until the transaction ends: the fence of each step that writes.

    Raises:
        LeaseLost: the job is somebody else's. Let it through: the transaction must roll back.
    """
    await _fenced(session, _HOLD, job, {})


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
        await _run(session, _CLAIM_LOCK, {"key": _CLAIM_LOCK_KEY, "idle_ms": str(CLAIM_IDLE_MS)})

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
            return set((await _run(session, _RENEW, {**_leases(jobs), "lease_s": self.lease_s})).scalars())

    async def release(self, jobs: Sequence[ClaimedJob]) -> None:
        """Give jobs back as if they had never been claimed; those that are not ours any more stay as they are."""
        async with self.database.begin() as session:
            await _run(session, _RELEASE, _leases(jobs))

    def backoff(self, attempt: int) -> float:
        """Return how many seconds to wait after `attempt`; spread out, so that jobs that failed together part."""
        return min(MAX_BACKOFF_S, self.backoff_s * 2.0 ** min(attempt - 1, 20)) * random.uniform(0.5, 1)  # noqa: S311

    async def fail(
        self, job: ClaimedJob, message: str, retry_in_s: float | None, on_failed: OnFailed, *, lapsed: bool = False
    ) -> None:
        """Queue the job again; or make it FAILED, when there is no retry or no attempt left.

        `on_failed` runs in the transaction that makes it FAILED; if it raises, the job stays as it is. With `lapsed`
        only a job whose lease is over is touched.

        Raises:
            LeaseLost: the job is somebody else's.
        """
        failed = retry_in_s is None or job.attempt >= job.max_attempts
        state = JobState.FAILED if failed else JobState.QUEUED
        values = {"lapsed": lapsed, "state": state, "delay_s": retry_in_s or 0.0, "message": message}
        async with self.database.begin() as session:
            await _fenced(session, _FAIL, job, values)
            if failed:
                await widen(session, job.workspace_id)
                await on_failed(session, job, message)
        level, end = (logging.ERROR, "failed") if failed else (logging.WARNING, "will be tried again")
        log.log(level, "Job %s (%s) %s after attempt %d: %s", job.id, job.kind, end, job.attempt, message)

    async def reap(self, on_failed: Mapping[str, OnFailed]) -> None:
        """Let jobs of these kinds whose leases are over fail as `LOST`, each in its own transaction."""
        async with self.database.begin() as session:
            rows = (await _run(session, _LAPSED.columns(payload=JSONB), {"kinds": list(on_failed)})).all()
        for job in [ClaimedJob(*row) for row in rows]:
            try:
                await self.fail(job, LOST, self.backoff(job.attempt), on_failed[job.kind], lapsed=True)
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


_KINDS = bindparam("kinds", type_=ARRAY(Text))
_LEASES = (bindparam("ids", type_=ARRAY(Uuid)), bindparam("tokens", type_=ARRAY(Uuid)))

_ENQUEUE = text("""
    INSERT INTO jobs (id, workspace_id, kind, payload, state, priority, attempts, max_attempts, dedupe_key)
    VALUES (:id, :workspace_id, :kind, :payload, 'QUEUED', :priority, 0, :max_attempts, :dedupe_key)
    ON CONFLICT (dedupe_key) WHERE state IN ('QUEUED', 'RUNNING') DO NOTHING
    RETURNING id
""").bindparams(bindparam("payload", type_=JSONB))

_COMPLETE = text("DELETE FROM jobs WHERE id = :id AND lease_token = :token")

_HOLD = text("SELECT 1 FROM jobs WHERE id = :id AND lease_token = :token FOR SHARE")

_IDLE = "set_config('idle_in_transaction_session_timeout', :idle_ms, true)"
_CLAIM_LOCK = text(f"SELECT {_IDLE}, pg_advisory_xact_lock(:key)")

# `waiting` jumps from workspace to workspace through the index, whatever the length of their backlogs. `turn` is what
# a workspace would have running with this job: so the idle ones go first, and among equals those after `:after`.
CLAIM = text("""
    WITH RECURSIVE waiting AS (
        (SELECT workspace_id FROM jobs WHERE state = 'QUEUED' ORDER BY workspace_id LIMIT 1)
        UNION ALL
        SELECT (SELECT jobs.workspace_id FROM jobs
                WHERE state = 'QUEUED' AND jobs.workspace_id > waiting.workspace_id ORDER BY workspace_id LIMIT 1)
        FROM waiting WHERE waiting.workspace_id IS NOT NULL
    ), running AS (
        SELECT workspace_id, count(*) AS jobs FROM jobs
        WHERE state = 'RUNNING' AND leased_until >= statement_timestamp() GROUP BY workspace_id
    ), candidate AS (
        SELECT head.id, workspace_id, coalesce(running.jobs, 0)
            + row_number() OVER (PARTITION BY workspace_id ORDER BY head.priority DESC, head.id) AS turn
        FROM waiting LEFT JOIN running USING (workspace_id) CROSS JOIN LATERAL (
            SELECT id, priority FROM jobs
            WHERE state = 'QUEUED' AND jobs.workspace_id = waiting.workspace_id
                AND run_at <= statement_timestamp() AND kind = ANY(:kinds)
            ORDER BY priority DESC, id LIMIT greatest(0, :cap - coalesce(running.jobs, 0))
        ) AS head
    ), picked AS (
        SELECT id, row_number() OVER (ORDER BY turn, workspace_id > :after DESC, workspace_id) AS place
        FROM candidate ORDER BY place LIMIT :limit
    ), locked AS (
        SELECT id, place FROM jobs JOIN picked USING (id) WHERE state = 'QUEUED' FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE jobs SET state = 'RUNNING', attempts = attempts + 1, lease_token = gen_random_uuid(),
        leased_until = statement_timestamp() + make_interval(secs => :lease_s)
    FROM locked WHERE jobs.id = locked.id
    RETURNING place, jobs.id, workspace_id, kind, payload, attempts, max_attempts, lease_token
""").bindparams(_KINDS)

# A locked row is in its handler's last transaction, or being taken from us: it is not waited for, since the other
# leases must be renewed meanwhile, and counts as ours until that commits.
_RENEW = text("""
    WITH held AS (
        SELECT id FROM jobs WHERE id = ANY(:ids) AND lease_token = ANY(:tokens)
    ), free AS (
        SELECT id FROM jobs WHERE id = ANY(:ids) AND lease_token = ANY(:tokens) FOR UPDATE SKIP LOCKED
    ), renewed AS (
        UPDATE jobs SET leased_until = statement_timestamp() + make_interval(secs => :lease_s)
        FROM free WHERE jobs.id = free.id
    )
    SELECT id FROM held
""").bindparams(*_LEASES)

_RELEASE = text("""
    UPDATE jobs SET state = 'QUEUED', attempts = attempts - 1, lease_token = NULL, leased_until = NULL
    WHERE id = ANY(:ids) AND lease_token = ANY(:tokens)
""").bindparams(*_LEASES)

_FAIL = text("""
    UPDATE jobs SET state = :state, last_error = :message, lease_token = NULL, leased_until = NULL,
        run_at = statement_timestamp() + make_interval(secs => :delay_s)
    WHERE id = :id AND lease_token = :token AND (NOT :lapsed OR leased_until < statement_timestamp())
""")

# Whose row is locked is in its last transaction: that one is not lost.
_LAPSED = text("""
    SELECT id, workspace_id, kind, payload, attempts, max_attempts, lease_token FROM jobs
    WHERE state = 'RUNNING' AND leased_until < statement_timestamp() AND kind = ANY(:kinds)
    FOR UPDATE SKIP LOCKED
""").bindparams(_KINDS)
