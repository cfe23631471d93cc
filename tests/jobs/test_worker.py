"""Workers in this process."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.db.embedded import DatabaseUrls, EmbeddedPostgres
from kyrochat.db.engine import asyncpg_url
from kyrochat.db.states import JobState
from kyrochat.errors import UnreadableDocument
from kyrochat.jobs.queue import ClaimedJob, GiveUp, Queue, RetryLater, complete
from kyrochat.jobs.worker import Kind, Worker
from tests.jobs.scene import Scene, leave_effect, until

Handle = Callable[[ClaimedJob], Awaitable[None]]


async def mourn(session: AsyncSession, job: ClaimedJob, message: str) -> None:
    leave_effect(session, job.workspace_id, f"{job.attempt}: {message}")


def a_worker(queue: Queue, changes: Changes, handle: Handle, *, concurrency: int = 4) -> Worker:
    """A worker that knows one kind. Its queue is its own, as it would be in another process."""
    return Worker(replace(queue), changes, {"note": Kind(handle, mourn)}, concurrency, beat_s=0.2)


@asynccontextmanager
async def at_work(*workers: Worker) -> AsyncGenerator[None, None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            await worker.stop(0)
        await asyncio.gather(*tasks)


async def test_a_handler_need_not_complete_its_job(scene: Scene, queue: Queue, workspace: UUID) -> None:
    seen: list[ClaimedJob] = []

    async def handle(job: ClaimedJob) -> None:
        seen.append(job)
        if job.payload["completes"]:
            async with queue.database.begin([job.workspace_id]) as session:
                await complete(session, job)

    async with at_work(a_worker(queue, scene.changes, handle)):
        await scene.job(workspace, payload={"completes": True})
        await scene.job(workspace, payload={"completes": False})
        await until(lambda: len(seen) == 2)
        await until(scene.empty)

    assert [job.attempt for job in seen] == [1, 1]


async def test_two_workers_share_the_work_and_never_a_job(scene: Scene, queue: Queue) -> None:
    running: Counter[UUID] = Counter()
    most_at_once: Counter[UUID] = Counter()
    done_by: dict[UUID, list[str]] = defaultdict(list)

    def handler(name: str) -> Handle:
        async def handle(job: ClaimedJob) -> None:
            running[job.id] += 1
            most_at_once[job.id] = max(most_at_once[job.id], running[job.id])
            done_by[job.id].append(name)
            # Nobody does it all: each waits until the other has had one.
            await until(lambda: len({each for names in done_by.values() for each in names}) == 2)
            running[job.id] -= 1

        return handle

    jobs = [await scene.job(workspace) for workspace in [await scene.workspace() for _ in range(8)] for _ in range(5)]
    async with at_work(*(a_worker(queue, scene.changes, handler(name)) for name in ("one", "two"))):
        await until(scene.empty)

    assert {job_id: len(names) for job_id, names in done_by.items()} == dict.fromkeys(jobs, 1)
    assert set(most_at_once.values()) == {1}


async def test_three_workers_keep_to_the_cap_of_a_workspace(
    scene: Scene, queue: Queue, workspace: UUID, neighbour: UUID
) -> None:
    running: Counter[UUID] = Counter()
    most: Counter[UUID] = Counter()
    done: Counter[UUID] = Counter()

    async def handle(job: ClaimedJob) -> None:
        running[job.workspace_id] += 1
        most[job.workspace_id] = max(most[job.workspace_id], running[job.workspace_id])
        await asyncio.sleep(0.002)  # the work
        done[job.workspace_id] += 1
        running[job.workspace_id] -= 1

    await scene.many(workspace, 60)
    await scene.many(neighbour, 10)
    async with at_work(*(a_worker(queue, scene.changes, handle) for _ in range(3))):
        await until(scene.empty)

    assert done == {workspace: 60, neighbour: 10}
    assert most == {workspace: 2, neighbour: 2}


async def test_give_up_fails_at_once_and_says_why(scene: Scene, queue: Queue, workspace: UUID) -> None:
    async def handle(job: ClaimedJob) -> None:
        raise GiveUp("The file is empty.")

    async with at_work(a_worker(queue, scene.changes, handle)):
        job_id = await scene.job(workspace)
        await until(lambda: is_failed(scene, job_id))

    row = await scene.row(job_id)
    assert row is not None
    assert (row.attempts, row.last_error) == (1, "The file is empty.")
    assert await scene.effects(workspace) == ["1: The file is empty."]


async def test_retry_later_keeps_the_job_for_its_delay(scene: Scene, queue: Queue, workspace: UUID) -> None:
    attempts: list[int] = []

    async def handle(job: ClaimedJob) -> None:
        attempts.append(job.attempt)
        raise RetryLater("The model is busy.", delay_s=600)

    async with at_work(a_worker(queue, scene.changes, handle)):
        job_id = await scene.job(workspace)
        await until(lambda: has_error(scene, job_id))
        # A later job is done meanwhile, so the first was passed over.
        await scene.job(workspace, max_attempts=1)
        await until(lambda: len(attempts) == 2)

    row = await scene.row(job_id)
    assert row is not None
    assert (row.state, row.attempts, row.last_error) == (JobState.QUEUED, 1, "The model is busy.")
    assert 590 < (row.run_at - row.created_at).total_seconds() < 660
    assert attempts == [1, 1]


async def test_a_bug_is_retried_and_its_text_stays_out_of_the_row_and_the_log(
    scene: Scene, queue: Queue, workspace: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(job: ClaimedJob) -> None:
        raise ValueError(" ".join(["a", "se" + "cret", "of", "the", "document"]))

    with caplog.at_level(logging.INFO):
        async with at_work(a_worker(queue, scene.changes, handle)):
            job_id = await scene.job(workspace, max_attempts=2)
            await until(lambda: is_failed(scene, job_id))

    row = await scene.row(job_id)
    assert row is not None
    assert (row.attempts, row.last_error) == (2, "An unexpected failure (ValueError).")
    assert await scene.effects(workspace) == ["2: An unexpected failure (ValueError)."]
    assert "secret" not in caplog.text
    assert str(job_id) in caplog.text
    assert "test_worker.py" in caplog.text


async def test_an_error_that_is_safe_to_show_keeps_its_message(scene: Scene, queue: Queue, workspace: UUID) -> None:
    async def handle(job: ClaimedJob) -> None:
        raise UnreadableDocument("The PDF is encrypted.")

    async with at_work(a_worker(queue, scene.changes, handle)):
        job_id = await scene.job(workspace, max_attempts=1)
        await until(lambda: is_failed(scene, job_id))

    assert await scene.effects(workspace) == ["1: The PDF is encrypted."]


async def test_who_loses_the_lease_is_stopped(scene: Scene, queue: Queue, workspace: UUID) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(job: ClaimedJob) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with at_work(a_worker(queue, scene.changes, handle)):
        job_id = await scene.job(workspace)
        await asyncio.wait_for(began.wait(), 30)
        await scene.run("UPDATE jobs SET lease_token = gen_random_uuid()")
        await asyncio.wait_for(cancelled.wait(), 30)

    row = await scene.row(job_id)
    assert row is not None
    assert (row.state, row.attempts, row.last_error) == (JobState.RUNNING, 1, None)


async def test_who_has_completed_his_job_comes_to_his_end(
    scene: Scene, queue: Queue, workspace: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()
    caplog.set_level(logging.INFO, "kyrochat")

    async def handle(job: ClaimedJob) -> None:
        async with queue.database.begin([job.workspace_id]) as session:
            await complete(session, job)
        await asyncio.sleep(0.25)  # what is left to do: longer than a beat, and shorter than two
        ended.set()

    async with at_work(a_worker(queue, scene.changes, handle)):
        await scene.job(workspace)
        async with asyncio.timeout(30):
            await ended.wait()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_long_job_keeps_its_lease(scene: Scene, queue: Queue, workspace: UUID) -> None:
    attempts: list[int] = []

    async def handle(job: ClaimedJob) -> None:
        attempts.append(job.attempt)
        await asyncio.sleep(2.5)  # the work, longer than two leases

    short = replace(queue, lease_s=1)
    async with at_work(*(a_worker(short, scene.changes, handle) for _ in range(2))):
        await scene.job(workspace)
        await until(scene.empty)

    assert attempts == [1]


async def test_stop_waits_for_what_runs_and_claims_nothing_more(scene: Scene, queue: Queue, workspace: UUID) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    done: list[UUID] = []

    async def handle(job: ClaimedJob) -> None:
        began.set()
        await may_end.wait()
        done.append(job.id)

    worker = a_worker(queue, scene.changes, handle, concurrency=1)
    first, second = await scene.job(workspace), await scene.job(workspace)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(began.wait(), 30)

    stopping = asyncio.create_task(worker.stop(30))
    may_end.set()
    await asyncio.wait_for(stopping, 30)

    await running
    assert done == [first]
    assert [(row.id, row.state, row.attempts) for row in await scene.rows()] == [(second, JobState.QUEUED, 0)]


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_what_outlasts_the_grace_is_given_back_uncharged(
    scene: Scene, queue: Queue, workspace: UUID, how: str
) -> None:
    began = asyncio.Event()
    ended: list[str] = []

    async def handle(job: ClaimedJob) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    worker = a_worker(queue, scene.changes, handle)
    await scene.job(workspace, max_attempts=1)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(began.wait(), 30)

    if how == "stop":
        await worker.stop(0.1)
    else:
        running.cancel()
    await asyncio.wait([running], timeout=20)

    assert running.cancelled() == (how == "cancel")
    assert ended == ["cleaned up"]
    assert [(row.state, row.attempts, row.lease_token) for row in await scene.rows()] == [(JobState.QUEUED, 0, None)]


async def test_a_worker_that_never_ran_stops_at_once(scene: Scene, queue: Queue) -> None:
    async def handle(job: ClaimedJob) -> None:
        raise AssertionError

    await asyncio.wait_for(a_worker(queue, scene.changes, handle).stop(), 1)


async def test_jobs_of_two_tenants_at_once_do_not_see_each_other(
    scene: Scene, queue: Queue, workspace: UUID, neighbour: UUID
) -> None:
    tenant: ContextVar[UUID | None] = ContextVar("tenant", default=None)
    inherited: list[UUID | None] = []
    together = asyncio.Barrier(2)

    async def handle(job: ClaimedJob) -> None:
        inherited.append(tenant.get())
        tenant.set(job.workspace_id)
        await together.wait()
        async with queue.database.begin([job.workspace_id]) as session:
            await complete(session, job)
            names = (await (await session.connection()).execute(text("SELECT name FROM bots"))).scalars().all()
            assert tenant.get() == job.workspace_id
            leave_effect(session, job.workspace_id, f"saw {len(names)}, of {job.workspace_id}")

    async with at_work(a_worker(queue, scene.changes, handle, concurrency=2)):
        for _ in range(3):
            await scene.job(workspace)
            await scene.job(neighbour)
            await until(scene.empty)

    assert inherited == [None] * 6
    for each in (workspace, neighbour):
        assert await scene.effects(each) == [f"saw {number}, of {each}" for number in range(3)]


async def test_an_outage_of_the_database_is_survived(
    scene: Scene,
    queue: Queue,
    workspace: UUID,
    urls: DatabaseUrls,
    postgres: EmbeddedPostgres,
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_end = {"ends meanwhile": asyncio.Event(), "goes on": asyncio.Event(), "comes later": asyncio.Event()}
    attempts: list[tuple[UUID, int]] = []

    async def handle(job: ClaimedJob) -> None:
        attempts.append((job.id, job.attempt))
        await may_end[job.payload["it"]].wait()

    caplog.set_level(logging.INFO, "kyrochat")
    worker = a_worker(replace(queue, lease_s=1.5), scene.changes, handle)
    worker.beat_s = 0.7
    async with at_work(worker):
        ends = await scene.job(workspace, payload={"it": "ends meanwhile"})
        goes_on = await scene.job(workspace, payload={"it": "goes on"})
        await until(lambda: len(attempts) == 2)

        # Longer than the lease.
        async with no_connections(urls, postgres):
            may_end["ends meanwhile"].set()
            await until(lambda: "Storing the end" in caplog.text and "Claiming jobs failed" in caplog.text)

        await until(lambda: scene.gone(ends))
        # Once somebody else's lost job is swept up, ours would have been as well.
        later = await scene.job(await scene.workspace(), payload={"it": "comes later"})
        await until(lambda: len(attempts) == 3)
        await scene.run(f"UPDATE jobs SET leased_until = now(), lease_token = gen_random_uuid() WHERE id = '{later}'")
        await until(lambda: (later, 2) in attempts)
        for event in may_end.values():
            event.set()
        await until(scene.empty)
        await until(lambda: caplog.text.count("works again") == caplog.text.count("trying until it works"))

    assert attempts == [(ends, 1), (goes_on, 1), (later, 1), (later, 2)]
    # Each of the claims, the renewals and the completion says it once, not at each try.
    assert 2 <= caplog.text.count("trying until it works") <= 3


@asynccontextmanager
async def no_connections(urls: DatabaseUrls, postgres: EmbeddedPostgres) -> AsyncGenerator[None, None]:
    """Keep the worker's role out of its database for at least 2 s."""
    name = asyncpg_url(urls.owner).database
    owner = create_async_engine(
        asyncpg_url(postgres.urls.owner).set(database="postgres"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    worker = create_async_engine(asyncpg_url(urls.worker), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with owner.connect() as admin, worker.connect() as inside:
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        for _ in range(20):
            await inside.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
            await asyncio.sleep(0.1)  # the length of the outage
        yield
        await admin.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    await owner.dispose()
    await worker.dispose()


async def is_failed(scene: Scene, job_id: UUID) -> bool:
    row = await scene.row(job_id)
    return row is not None and row.state is JobState.FAILED


async def has_error(scene: Scene, job_id: UUID) -> bool:
    row = await scene.row(job_id)
    return row is not None and row.last_error is not None
