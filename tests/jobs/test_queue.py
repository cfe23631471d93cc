"""The queue, one operation at a time."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import CHANNEL, JOBS_TOPIC, Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Workspace
from kyrochat.db.states import JobState
from kyrochat.jobs.queue import LOST, ClaimedJob, LeaseLost, Queue, complete, enqueue, hold
from tests.jobs.scene import Scene, leave_effect, until

KINDS = ["note"]


async def nothing(session: AsyncSession, job: ClaimedJob, message: str) -> None:
    pass


async def mourn(session: AsyncSession, job: ClaimedJob, message: str) -> None:
    leave_effect(session, job.workspace_id, f"{job.attempt}: {message}")


async def work_off(queue: Queue, limit: int, rounds: int) -> list[list[ClaimedJob]]:
    """Claim and complete, `rounds` times."""
    claims = []
    for _ in range(rounds):
        claimed = await queue.claim(limit, KINDS)
        for job in claimed:
            async with queue.database.begin([job.workspace_id]) as session:
                await complete(session, job)
        claims.append(claimed)
    return claims


async def test_a_claimed_job_is_what_was_enqueued(scene: Scene, queue: Queue, workspace: UUID) -> None:
    job_id = await scene.job(workspace, payload={"document": "7"}, max_attempts=3)

    [job] = await queue.claim(5, KINDS)

    assert job == ClaimedJob(
        id=job_id,
        workspace_id=workspace,
        kind="note",
        payload={"document": "7"},
        attempt=1,
        max_attempts=3,
        lease_token=job.lease_token,
    )
    assert await queue.claim(5, KINDS) == []


async def test_a_rolled_back_transaction_leaves_no_job(
    scene: Scene, queue: Queue, changes: Changes, workspace: UUID
) -> None:
    async def enqueue_and_fail() -> None:
        async with scene.database.begin([workspace]) as session:
            leave_effect(session, workspace, "a document")
            await enqueue(session, changes, workspace_id=workspace, kind="note", payload={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await enqueue_and_fail()

    assert await scene.rows() == []
    assert await scene.effects(workspace) == []
    assert await queue.claim(5, KINDS) == []


async def test_the_bell_rings_once_a_commit_and_not_for_a_duplicate(
    scene: Scene, changes: Changes, workspace: UUID
) -> None:
    heard: list[str] = []

    def hear(*ring: object) -> None:
        # Listeners make sure from time to time that they still hear: those echoes are not for us.
        if not str(ring[-1]).startswith("echo:"):
            heard.append(str(ring[-1]))

    async with scene.database.engine.connect() as connection:
        listener = (await connection.get_raw_connection()).driver_connection
        assert listener is not None
        await listener.add_listener(CHANNEL, hear)

        async with scene.database.begin() as session:
            for key in ("first", "second", "first"):
                await enqueue(session, changes, workspace_id=workspace, kind="note", payload={}, dedupe_key=key)
        async with scene.database.begin() as session:
            again = await enqueue(session, changes, workspace_id=workspace, kind="note", payload={}, dedupe_key="first")
            await changes.announce(session, ["the duplicate's transaction"])
        await until(lambda: len(heard) == 2)
        await connection.invalidate()

    assert again is None
    assert heard == [JOBS_TOPIC, "the duplicate's transaction"]


async def test_ten_enqueues_of_one_key_at_once_make_one_job(scene: Scene, changes: Changes, workspace: UUID) -> None:
    async def one() -> UUID | None:
        async with scene.database.begin() as session:
            return await enqueue(
                session, changes, workspace_id=workspace, kind="note", payload={}, dedupe_key="ingest:7"
            )

    made = [job_id for job_id in await asyncio.gather(*(one() for _ in range(10))) if job_id is not None]

    assert [job.id for job in await scene.rows()] == made
    assert len(made) == 1


async def test_a_key_is_free_again_when_its_job_is_done_or_failed(scene: Scene, queue: Queue, workspace: UUID) -> None:
    await scene.job(workspace, dedupe_key="ingest:7")
    await work_off(queue, 1, 1)
    second = await scene.job(workspace, dedupe_key="ingest:7")
    [job] = await queue.claim(1, KINDS)
    await queue.fail(job, "It cannot be read.", None, nothing)

    third = await scene.job(workspace, dedupe_key="ingest:7")

    assert [(row.id, row.state) for row in await scene.rows()] == [
        (second, JobState.FAILED),
        (third, JobState.QUEUED),
    ]


async def test_priority_goes_first_within_a_workspace_then_age(scene: Scene, queue: Queue, workspace: UUID) -> None:
    old, new = await scene.job(workspace), await scene.job(workspace)
    urgent = await scene.job(workspace, priority=5)

    claims = await work_off(queue, 1, 3)

    assert [job.id for claimed in claims for job in claimed] == [urgent, old, new]


async def test_only_known_kinds_are_claimed(scene: Scene, queue: Queue, workspace: UUID) -> None:
    for _ in range(3):
        await scene.job(workspace, kind="of a newer version", priority=9)
    mine = await scene.job(workspace)

    claimed = await queue.claim(5, KINDS)

    assert [job.id for job in claimed] == [mine]
    assert await queue.claim(5, []) == []


async def test_a_workspace_has_at_most_its_cap_running(
    scene: Scene, worker_database: Database, workspace: UUID, neighbour: UUID
) -> None:
    first, second = Queue(worker_database, per_workspace=2), Queue(worker_database, per_workspace=2)
    await scene.many(workspace, 50)
    await scene.many(neighbour, 1)

    claims = await asyncio.gather(*(queue.claim(3, KINDS) for queue in (first, second) * 5))

    owners = [job.workspace_id for claimed in claims for job in claimed]
    assert sorted(owners) == sorted([workspace, workspace, neighbour])


async def test_a_claim_waits_for_the_one_before_and_counts_what_that_took(
    scene: Scene, queue: Queue, workspace: UUID
) -> None:
    # Workers of different kinds would not get into each other's way, and together go beyond the cap.
    for kind in ("note", "another") * 2:
        await scene.job(workspace, kind=kind)

    async def somebody_waits() -> bool:
        return bool(await scene.count("pg_locks WHERE locktype = 'advisory' AND NOT granted"))

    async with queue.database.begin() as session:
        await queue.take_claim_lock(session)
        after = asyncio.create_task(queue.claim(4, ["another"]))
        await until(somebody_waits)
        taken = await queue.claim_alone(session, 4, ["note"])

    assert len(taken) == 2
    assert await after == []


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_a_backlog_of_five_thousand_does_not_delay_a_neighbours_single_job(
    scene: Scene, queue: Queue, workspace: UUID, neighbour: UUID, limit: int
) -> None:
    await scene.many(workspace, 5_000)
    await work_off(queue, limit, 3)
    single = await scene.job(neighbour)

    claims = await work_off(queue, limit, 2)

    assert single in [job.id for claimed in claims for job in claimed]
    assert all(len(claimed) == min(limit, 3) or len(claimed) == min(limit, 2) for claimed in claims)


async def test_workspaces_take_turns(scene: Scene, queue: Queue) -> None:
    workspaces = [await scene.workspace() for _ in range(4)]
    for each in workspaces:
        await scene.many(each, 10)

    claims = await work_off(queue, 1, 12)

    served = [job.workspace_id for [job] in claims]
    assert sorted(served[:4]) == sorted(workspaces)
    assert served[4:] == served[:4] * 2


async def test_a_job_that_runs_does_not_take_a_turn_from_those_that_wait(
    scene: Scene, queue: Queue, workspace: UUID, neighbour: UUID
) -> None:
    await scene.many(workspace, 5)
    [_] = await queue.claim(1, KINDS)
    await scene.many(neighbour, 5)

    claims = await work_off(queue, 1, 3)

    assert [job.workspace_id for [job] in claims] == [neighbour] * 3


async def test_completion_is_part_of_the_handlers_transaction(scene: Scene, queue: Queue, workspace: UUID) -> None:
    job_id = await scene.job(workspace)
    [job] = await queue.claim(1, KINDS)

    async with queue.database.begin([workspace]) as session:
        await complete(session, job)
        leave_effect(session, workspace, "done")

    assert await scene.gone(job_id)
    assert await scene.effects(workspace) == ["done"]


async def test_who_lost_the_lease_cannot_complete_and_leaves_nothing(
    scene: Scene, queue: Queue, workspace: UUID
) -> None:
    job_id = await scene.job(workspace)
    [lost] = await queue.claim(1, KINDS)
    await scene.lapse(job_id)
    await queue.reap({"note": nothing})
    [again] = await queue.claim(1, KINDS)

    async def finish(job: ClaimedJob, effect: str) -> None:
        async with queue.database.begin([workspace]) as session:
            leave_effect(session, workspace, effect)
            await complete(session, job)

    with pytest.raises(LeaseLost):
        await finish(lost, "by the zombie")
    assert await scene.effects(workspace) == []
    await finish(again, "by its successor")

    assert (lost.attempt, again.attempt) == (1, 2)
    assert await scene.effects(workspace) == ["by its successor"]
    assert await scene.rows() == []


async def test_a_job_may_be_as_new_as_its_workspace(scene: Scene, queue: Queue, changes: Changes) -> None:
    async with scene.database.begin() as session:
        workspace = Workspace(name="A new one")
        session.add(workspace)
        await enqueue(session, changes, workspace_id=workspace.id, kind="note", payload={})

    assert [job.workspace_id for job in await queue.claim(1, KINDS)] == [workspace.id]


async def test_a_step_holds_its_job_until_it_commits(scene: Scene, queue: Queue, workspace: UUID) -> None:
    job_id = await scene.job(workspace)
    [job] = await queue.claim(1, KINDS)
    await scene.lapse(job_id)

    async with queue.database.begin([workspace]) as session:
        await hold(session, job)
        await asyncio.wait_for(queue.reap({"note": nothing}), 30)
        assert await asyncio.wait_for(queue.renew([job]), 30) == {job_id}
        leave_effect(session, workspace, "a step")
    await queue.reap({"note": nothing})

    async def another_step() -> None:
        async with queue.database.begin([workspace]) as session:
            leave_effect(session, workspace, "another step")
            await hold(session, job)

    with pytest.raises(LeaseLost):
        await another_step()
    assert await scene.effects(workspace) == ["a step"]


async def test_a_lapsed_lease_that_nobody_took_still_completes(scene: Scene, queue: Queue, workspace: UUID) -> None:
    job_id = await scene.job(workspace)
    [job] = await queue.claim(1, KINDS)
    await scene.lapse(job_id)

    async with queue.database.begin([workspace]) as session:
        await complete(session, job)

    assert await scene.gone(job_id)


async def test_renewal_names_the_jobs_that_are_still_held(
    scene: Scene, queue: Queue, workspace: UUID, neighbour: UUID
) -> None:
    kept, lost = await scene.job(workspace), await scene.job(neighbour)
    jobs = await queue.claim(2, KINDS)
    await scene.lapse(kept)
    await scene.run(f"UPDATE jobs SET lease_token = gen_random_uuid() WHERE id = '{lost}'")

    held = await queue.renew(jobs)

    assert held == {kept}
    await queue.reap({"note": nothing})
    assert [(row.id, row.state) for row in await scene.rows()] == [
        (kept, JobState.RUNNING),
        (lost, JobState.RUNNING),
    ]
    assert await queue.renew([]) == set()


async def test_a_job_in_its_last_transaction_is_held_and_neither_reaped_nor_waited_for(
    scene: Scene, queue: Queue, workspace: UUID, neighbour: UUID
) -> None:
    slow, other = await scene.job(workspace), await scene.job(neighbour)
    jobs = {job.id: job for job in await queue.claim(2, KINDS)}
    await scene.lapse(slow)

    async with queue.database.begin([workspace]) as session:
        await complete(session, jobs[slow])
        held = await asyncio.wait_for(queue.renew(list(jobs.values())), 10)
        await asyncio.wait_for(queue.reap({"note": mourn}), 30)
        leave_effect(session, workspace, "done")

    assert held == {slow, other}
    assert await scene.gone(slow)
    assert await scene.effects(workspace) == ["done"]


async def test_release_gives_the_job_back_without_charging_the_attempt(
    scene: Scene, queue: Queue, workspace: UUID
) -> None:
    await scene.job(workspace, max_attempts=1)
    for _ in range(3):
        jobs = await queue.claim(1, KINDS)
        assert [job.attempt for job in jobs] == [1]
        await queue.release(jobs)
        assert [(row.state, row.attempts, row.lease_token) for row in await scene.rows()] == [
            (JobState.QUEUED, 0, None)
        ]


async def test_release_leaves_a_successors_lease_alone(scene: Scene, queue: Queue, workspace: UUID) -> None:
    job_id = await scene.job(workspace)
    lost = await queue.claim(1, KINDS)
    await scene.lapse(job_id)
    await queue.reap({"note": nothing})
    [again] = await queue.claim(1, KINDS)

    await queue.release(lost)

    [row] = await scene.rows()
    assert (row.state, row.attempts, row.lease_token) == (JobState.RUNNING, 2, again.lease_token)


async def test_a_retry_waits_its_delay_and_keeps_the_message(scene: Scene, queue: Queue, workspace: UUID) -> None:
    job_id = await scene.job(workspace)
    [job] = await queue.claim(1, KINDS)

    await queue.fail(job, "The provider is busy.", 60, mourn)

    row = await scene.row(job_id)
    assert row is not None
    assert (row.state, row.attempts, row.last_error, row.lease_token) == (
        JobState.QUEUED,
        1,
        "The provider is busy.",
        None,
    )
    assert 55 < (row.run_at - row.created_at).total_seconds() < 90
    assert await queue.claim(1, KINDS) == []
    assert await scene.effects(workspace) == []


@pytest.mark.parametrize(("retry_in_s", "max_attempts"), [(None, 5), (0.0, 1)])
async def test_a_failed_job_keeps_its_row_and_tells_once_in_the_same_transaction(
    scene: Scene, queue: Queue, workspace: UUID, retry_in_s: float | None, max_attempts: int
) -> None:
    job_id = await scene.job(workspace, max_attempts=max_attempts)
    [job] = await queue.claim(1, KINDS)

    await queue.fail(job, "It cannot be read.", retry_in_s, mourn)
    with pytest.raises(LeaseLost):
        await queue.fail(job, "It cannot be read.", retry_in_s, mourn)

    row = await scene.row(job_id)
    assert row is not None
    assert (row.state, row.last_error, row.leased_until) == (JobState.FAILED, "It cannot be read.", None)
    assert await scene.effects(workspace) == ["1: It cannot be read."]
    assert await queue.claim(1, KINDS) == []


async def test_no_job_fails_without_its_story(scene: Scene, queue: Queue, workspace: UUID) -> None:
    async def break_down(session: AsyncSession, job: ClaimedJob, message: str) -> None:
        await mourn(session, job, message)
        raise ZeroDivisionError

    job_id = await scene.job(workspace, max_attempts=1)
    [job] = await queue.claim(1, KINDS)

    with pytest.raises(ZeroDivisionError):
        await queue.fail(job, "It cannot be read.", None, break_down)
    await scene.lapse(job_id)
    await queue.reap({"note": break_down})
    row = await scene.row(job_id)
    assert row is not None
    assert row.state == JobState.RUNNING
    await queue.reap({"note": mourn})

    row = await scene.row(job_id)
    assert row is not None
    assert (row.state, row.last_error) == (JobState.FAILED, LOST)
    assert await scene.effects(workspace) == [f"1: {LOST}"]


async def test_a_lost_job_is_tried_again_later_and_fails_at_its_last_attempt(
    scene: Scene, worker_database: Database, workspace: UUID
) -> None:
    queue = Queue(worker_database, backoff_s=20)
    job_id = await scene.job(workspace, max_attempts=2)
    [_] = await queue.claim(1, KINDS)
    await scene.lapse(job_id)

    await queue.reap({"note": mourn})
    row = await scene.row(job_id)
    assert row is not None
    assert (row.state, row.attempts, row.last_error) == (JobState.QUEUED, 1, LOST)
    assert 5 < (row.run_at - row.created_at).total_seconds() < 40
    assert await queue.claim(1, KINDS) == []
    await scene.run("UPDATE jobs SET run_at = now()")
    [again] = await queue.claim(1, KINDS)
    await scene.lapse(job_id)
    await asyncio.gather(*(queue.reap({"note": mourn}) for _ in range(4)))

    row = await scene.row(job_id)
    assert row is not None
    assert (again.attempt, row.state, row.last_error) == (2, JobState.FAILED, LOST)
    assert await scene.effects(workspace) == [f"2: {LOST}"]


async def test_a_live_lease_and_an_unknown_kind_are_not_reaped(scene: Scene, queue: Queue, workspace: UUID) -> None:
    await scene.job(workspace)
    foreign = await scene.job(workspace, kind="of a newer version", max_attempts=1)
    jobs = await queue.claim(2, ["note", "of a newer version"])
    await scene.lapse(foreign)

    await queue.reap({"note": mourn})
    with pytest.raises(LeaseLost):  # it was renewed after the sweep had seen it
        await queue.fail(next(job for job in jobs if job.kind == "note"), LOST, None, mourn, lapsed=True)

    rows: Sequence[tuple[JobState, UUID | None]] = [(row.state, row.lease_token) for row in await scene.rows()]
    assert rows == [(JobState.RUNNING, job.lease_token) for job in sorted(jobs, key=lambda job: job.id)]


async def test_a_claimer_that_stops_while_it_holds_the_lock_does_not_stop_the_others(
    scene: Scene, queue: Queue, workspace: UUID
) -> None:
    await scene.job(workspace)
    stopped = queue.database.sessions()
    await queue.take_claim_lock(stopped)

    # PostgreSQL ends the idle transaction, long before the statement timeout of 30 s.
    claimed = await asyncio.wait_for(queue.claim(1, KINDS), 15)

    assert len(claimed) == 1
    await stopped.invalidate()
