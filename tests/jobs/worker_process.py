"""A worker in a process of its own, to be killed, stopped and resumed: `python -m tests.jobs.worker_process JSON`."""

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.db.engine import open_database
from kyrochat.jobs.queue import ClaimedJob, LeaseLost, Queue, complete
from kyrochat.jobs.worker import Kind, Worker
from tests.jobs.scene import leave_effect, until


@dataclass(frozen=True)
class Options:
    """Where it works, and how."""

    url: str
    # One line for each thing that happened.
    log: str
    # Handlers that wait do so until this file exists, with the number of the attempt at its end.
    gate: str
    lease_s: float = 0.9
    beat_s: float = 0.3
    grace_s: float = 0.3


async def main(options: Options) -> None:
    database = open_database(options.url)

    def note(what: str, job: ClaimedJob) -> None:
        with Path(options.log).open("a", encoding="utf-8") as log:
            log.write(f"{what} {job.id} {job.attempt} {os.getpid()}\n")

    def gate(job: ClaimedJob) -> Path:
        return Path(f"{options.gate}{job.attempt}")

    async def finish(job: ClaimedJob) -> None:
        async with database.begin([job.workspace_id]) as session:
            leave_effect(session, job.workspace_id, f"attempt {job.attempt} of {job.id}")
            await complete(session, job)

    async def do(job: ClaimedJob) -> None:
        note("began", job)
        await finish(job)
        note("ended", job)

    async def die(job: ClaimedJob) -> None:
        note("began", job)
        os.kill(os.getpid(), signal.SIGKILL)

    async def linger(job: ClaimedJob) -> None:
        note("began", job)
        await until(gate(job).exists)
        await finish(job)
        note("ended", job)

    async def sleepwalk(job: ClaimedJob) -> None:
        note("began", job)
        while not gate(job).exists():
            time.sleep(0.01)  # noqa: ASYNC251  # holds up the heartbeat too, so that nothing but the fence is left
        try:
            await finish(job)
        except LeaseLost:
            note("fenced", job)
            raise

    async def mourn(session: AsyncSession, job: ClaimedJob, message: str) -> None:
        note("failed", job)
        leave_effect(session, job.workspace_id, message)

    kinds = {"do": do, "die": die, "linger": linger, "sleepwalk": sleepwalk}
    worker = Worker(
        Queue(database, lease_s=options.lease_s, backoff_s=0.05),
        Changes(),
        {name: Kind(handle, mourn) for name, handle in kinds.items()},
        concurrency=4,
        beat_s=options.beat_s,
    )
    running = asyncio.create_task(worker.run())
    stops: list[asyncio.Task[None]] = []
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, lambda: stops.append(asyncio.create_task(worker.stop(options.grace_s)))
    )
    await running
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(Options(**json.loads(sys.argv[1]))))
