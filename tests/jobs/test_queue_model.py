"""Any interleaving of the queue's operations agrees with a model of a dozen lines."""

from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.states import JobState
from kyrochat.jobs.queue import ClaimedJob, LeaseLost, Queue, complete
from tests.jobs.scene import Scene

CAP = 2
KINDS = ["note"]
# Counted from the newest claim: the oldest are over.
choice = st.integers(0, 5)

step = st.one_of(
    st.tuples(st.just("enqueue"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("claim"), st.integers(1, 4), st.just(0)),
    st.tuples(st.sampled_from(["lapse", "complete", "retry", "give up", "release", "renew"]), choice, st.just(0)),
    st.tuples(st.just("reap"), st.just(0), st.just(0)),
)


@dataclass
class Modelled:
    """What the model knows of a job."""

    workspace_id: UUID
    priority: int
    state: JobState = JobState.QUEUED
    attempts: int = 0
    token: UUID | None = None
    lapsed: bool = False


@dataclass
class Model:
    """The queue, without a database."""

    jobs: dict[UUID, Modelled] = field(default_factory=dict)
    told: list[UUID] = field(default_factory=list)

    def holds(self, claim: ClaimedJob) -> bool:
        job = self.jobs.get(claim.id)
        return job is not None and job.token == claim.lease_token

    def of(self, state: JobState) -> dict[UUID, Modelled]:
        return {job_id: job for job_id, job in self.jobs.items() if job.state is state}

    def claimable(self, limit: int) -> int:
        """Return how many jobs a claim must find."""
        free: dict[UUID, int] = {}
        waiting: dict[UUID, int] = {}
        for job in self.of(JobState.QUEUED).values():
            waiting[job.workspace_id] = waiting.get(job.workspace_id, 0) + 1
        for workspace_id in waiting:
            running = [j for j in self.of(JobState.RUNNING).values() if j.workspace_id == workspace_id and not j.lapsed]
            free[workspace_id] = max(0, CAP - len(running))
        return min(limit, sum(min(waiting[each], free[each]) for each in waiting))

    def check_claimed(self, claimed: list[ClaimedJob]) -> None:
        before = self.of(JobState.QUEUED)
        taken = {claim.id for claim in claimed}
        for claim in claimed:
            job = before[claim.id]
            assert claim.attempt == job.attempts + 1
            # Nobody of its workspace was left behind who comes first.
            for other_id, other in before.items():
                if other.workspace_id == job.workspace_id and other_id not in taken:
                    assert (-job.priority, claim.id) < (-other.priority, other_id)
        for claim in claimed:
            job = self.jobs[claim.id]
            job.state, job.attempts, job.token, job.lapsed = JobState.RUNNING, claim.attempt, claim.lease_token, False
        live = [job for job in self.of(JobState.RUNNING).values() if not job.lapsed]
        assert all(sum(j.workspace_id == job.workspace_id for j in live) <= CAP for job in live)

    def end(self, job_id: UUID, *, failed: bool) -> None:
        job = self.jobs[job_id]
        job.state, job.token, job.lapsed = JobState.FAILED if failed else JobState.QUEUED, None, False
        if failed:
            self.told.append(job_id)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, min_size=20, max_size=50))
async def test_any_interleaving_agrees_with_the_model(
    scene: Scene, queue: Queue, steps: list[tuple[str, int, int]]
) -> None:
    await scene.run("DELETE FROM jobs")
    workspaces = [await scene.workspace() for _ in range(2)]
    queue = Queue(queue.database, per_workspace=CAP, backoff_s=0)
    model, claims, told = Model(), list[ClaimedJob](), list[UUID]()

    async def tell(session: AsyncSession, job: ClaimedJob, message: str) -> None:
        told.append(job.id)

    backlog = [("enqueue", number % 2, 0) for number in range(8)]
    for name, number, priority in [*backlog, *steps]:
        if name == "enqueue":
            job_id = await scene.job(workspaces[number], priority=priority, max_attempts=2)
            model.jobs[job_id] = Modelled(workspaces[number], priority)
        elif name == "claim":
            expected = model.claimable(number)
            claimed = await queue.claim(number, KINDS)
            assert len(claimed) == expected
            model.check_claimed(claimed)
            claims += claimed
        elif name == "reap":
            await queue.reap({"note": tell})
            for job_id, job in model.of(JobState.RUNNING).items():
                if job.lapsed:
                    model.end(job_id, failed=job.attempts == 2)
        elif claims:
            claim = claims[-1 - number % len(claims)]
            await one_step(name, claim, model=model, scene=scene, queue=queue, tell=tell)

    stored = {row.id: (row.state, row.attempts, row.lease_token) for row in await scene.rows()}
    assert stored == {job_id: (job.state, job.attempts, job.token) for job_id, job in model.jobs.items()}
    assert told == model.told


async def one_step(name: str, claim: ClaimedJob, *, model: Model, scene: Scene, queue: Queue, tell: object) -> None:
    """Do one thing to a claim, which may have lost its lease long ago."""
    held = model.holds(claim)
    if name == "lapse":
        if held:
            await scene.lapse(claim.id)
            model.jobs[claim.id].lapsed = True
    elif name == "renew":
        assert await queue.renew([claim]) == ({claim.id} if held else set())
        if held:
            model.jobs[claim.id].lapsed = False
    elif name == "release":
        await queue.release([claim])
        if held:
            model.end(claim.id, failed=False)
            model.jobs[claim.id].attempts -= 1
    elif name == "complete":
        try:
            async with queue.database.begin([claim.workspace_id]) as session:
                await complete(session, claim)
        except LeaseLost:
            assert not held
        else:
            assert held
            del model.jobs[claim.id]
    else:
        retry_in_s = 0.0 if name == "retry" else None
        try:
            await queue.fail(claim, name, retry_in_s, tell)  # type: ignore[arg-type]
        except LeaseLost:
            assert not held
        else:
            assert held
            model.end(claim.id, failed=retry_in_s is None or claim.attempt == 2)
