"""How fast jobs that do nothing go through one worker: `python -m benchmarks.jobs`.

The figure that travels between machines is the ratio to bare round trips (`SELECT 1` in a transaction, one after the
other) to the same database in the same run: a job costs a claim and a completion.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.engine import Database, open_database
from kyrochat.db.migrate import migrate
from kyrochat.jobs.queue import ClaimedJob, Queue
from kyrochat.jobs.worker import Kind, Worker

JOBS = 2_000
WORKSPACES = 20
ROUND_TRIPS = 2_000
CONCURRENCY = 8


async def round_trips_per_s(database: Database) -> float:
    """Return how many statements one connection gets through."""
    async with database.begin() as session:
        connection = await session.connection()
        began_at = time.perf_counter()
        for _ in range(ROUND_TRIPS):
            await connection.execute(text("SELECT 1"))
        return ROUND_TRIPS / (time.perf_counter() - began_at)


async def fill(database: Database, jobs: int, workspaces: int) -> None:
    """Queue `jobs`, spread evenly over new workspaces."""
    async with database.begin() as session:
        connection = await session.connection()
        for _ in range(workspaces):
            values: dict[str, UUID | int] = {"id": new_id(), "jobs": jobs // workspaces}
            await connection.execute(text("INSERT INTO workspaces (id, name) VALUES (:id, 'bench')"), values)
            await connection.execute(_FILL, values)


async def jobs_per_s(database: Database, jobs: int, workspaces: int) -> float:
    """Return how many jobs that do nothing a worker gets through."""
    await fill(database, jobs, workspaces)
    left, done = jobs, asyncio.Event()

    async def handle(_: ClaimedJob) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    async def on_failed(*_: object) -> None:
        raise AssertionError

    queue = Queue(database, per_workspace=2)
    worker = Worker(queue, Changes(), {"nothing": Kind(handle, on_failed)}, concurrency=CONCURRENCY)
    began_at = time.perf_counter()
    running = asyncio.create_task(worker.run())
    await done.wait()
    took_s = time.perf_counter() - began_at
    await worker.stop()
    await running
    return jobs / took_s


async def main() -> None:
    """Print the figures of a fresh, durable cluster."""
    with tempfile.TemporaryDirectory(prefix="kyrochat-bench-") as directory:
        server = EmbeddedPostgres.start(Path(directory))
        try:
            await migrate(server.urls.owner)
            database = open_database(server.urls.worker, pool_size=CONCURRENCY + 2)
            trips = await round_trips_per_s(database)
            sys.stdout.write(f"round trips: {trips:,.0f}/s\n")
            for workspaces in (WORKSPACES, 1):
                rate = await jobs_per_s(database, JOBS, workspaces)
                ratio = f"{rate / trips:.3f} per round trip"
                sys.stdout.write(f"no-op jobs, {workspaces} workspaces: {rate:,.0f}/s = {ratio}\n")
            await database.close()
        finally:
            server.stop()


_FILL = text("""
    INSERT INTO jobs (id, workspace_id, kind, payload, state, priority, attempts, max_attempts)
    SELECT uuidv7(), :id, 'nothing', '{}', 'QUEUED', 0, 0, 5 FROM generate_series(1, :jobs)
""")


if __name__ == "__main__":
    asyncio.run(main())
