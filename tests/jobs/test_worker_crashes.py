"""Real processes that are killed, stopped and resumed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.states import JobState
from kyrochat.jobs.queue import LOST
from tests.jobs.scene import Scene, until
from tests.jobs.worker_process import Options

ROOT = Path(__file__).parents[2]


@dataclass
class Crew:
    """Worker processes, and what they noted."""

    options: Options
    processes: list[Process] = field(default_factory=list)

    async def hire(self, **changed: float) -> Process:
        options = json.dumps(asdict(replace(self.options, **changed)))  # type: ignore[arg-type]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.jobs.worker_process", options, cwd=ROOT
        )
        self.processes.append(process)
        return process

    def notes(self, job_id: UUID | None = None) -> list[str]:
        """Return the notes as "what attempt", in order."""
        log = Path(self.options.log)
        lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
        return [f"{what} {attempt}" for what, job, attempt, _ in lines if job_id is None or job == str(job_id)]

    def open_gate(self, attempt: int) -> None:
        Path(f"{self.options.gate}{attempt}").touch()


@pytest.fixture
async def crew(urls: DatabaseUrls, tmp_path: Path) -> AsyncGenerator[Crew, None]:
    crew = Crew(Options(urls.worker, str(tmp_path / "log"), str(tmp_path / "gate")))
    yield crew
    for process in crew.processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_job_of_a_killed_worker_is_finished_by_another(scene: Scene, crew: Crew, workspace: UUID) -> None:
    job_id = await scene.job(workspace, kind="linger")
    first = await crew.hire()
    await until(lambda: crew.notes(job_id) == ["began 1"])

    first.kill()
    crew.open_gate(2)
    await crew.hire()
    await until(scene.empty)

    await until(lambda: crew.notes(job_id) == ["began 1", "began 2", "ended 2"])
    assert await scene.effects(workspace) == [f"attempt 2 of {job_id}"]


async def test_a_job_that_kills_its_worker_each_time_fails_and_the_others_proceed(
    scene: Scene, crew: Crew, workspace: UUID, neighbour: UUID
) -> None:
    poison = await scene.job(workspace, kind="die", max_attempts=3, priority=9)
    others = [await scene.job(each, kind="do") for each in (workspace, neighbour) for _ in range(3)]

    async def only_poison_is_left() -> bool:
        return [(row.id, row.state) for row in await scene.rows()] == [(poison, JobState.FAILED)]

    for _ in range(3):
        assert await asyncio.wait_for((await crew.hire()).wait(), 30) == -signal.SIGKILL
    last = await crew.hire()
    await until(only_poison_is_left)

    assert last.returncode is None
    assert crew.notes(poison) == ["began 1", "began 2", "began 3", "failed 3"]
    [row] = await scene.rows()
    assert (row.id, row.attempts, row.last_error) == (poison, 3, LOST)
    effects = [*await scene.effects(workspace), *await scene.effects(neighbour)]
    assert effects.count(LOST) == 1
    # Whatever the attempt: those that were cut down with the worker were done again, and none twice.
    assert sorted(effect.split()[-1] for effect in effects if effect != LOST) == sorted(map(str, others))


async def test_a_zombie_cannot_finish_what_was_taken_from_it(scene: Scene, crew: Crew, workspace: UUID) -> None:
    job_id = await scene.job(workspace, kind="sleepwalk")
    zombie = await crew.hire()
    await until(lambda: crew.notes(job_id) == ["began 1"])
    os.kill(zombie.pid, signal.SIGSTOP)
    await crew.hire(lease_s=60)
    await until(lambda: crew.notes(job_id) == ["began 1", "began 2"])

    crew.open_gate(1)
    os.kill(zombie.pid, signal.SIGCONT)
    await until(lambda: crew.notes(job_id) == ["began 1", "began 2", "fenced 1"])
    assert await scene.effects(workspace) == []
    crew.open_gate(2)
    await until(scene.empty)

    assert await scene.effects(workspace) == [f"attempt 2 of {job_id}"]
    assert zombie.returncode is None


async def test_a_terminated_worker_gives_its_jobs_back_uncharged(
    scene: Scene, crew: Crew, workspace: UUID, neighbour: UUID
) -> None:
    jobs = [await scene.job(each, kind="linger", max_attempts=1) for each in (workspace, workspace, neighbour)]
    process = await crew.hire(lease_s=60)
    await until(lambda: crew.notes() == ["began 1"] * 3)

    process.terminate()
    code = await asyncio.wait_for(process.wait(), 30)

    assert code == 0
    assert [(row.id, row.state, row.attempts) for row in await scene.rows()] == [
        (job_id, JobState.QUEUED, 0) for job_id in sorted(jobs)
    ]
    crew.open_gate(1)
    await crew.hire()
    await until(scene.empty)
    assert sorted(await scene.effects(workspace) + await scene.effects(neighbour)) == sorted(
        f"attempt 1 of {job_id}" for job_id in jobs
    )
