"""The claim is one statement under a lock, so its plan is what bounds all workers."""

from uuid import UUID

from sqlalchemy import ARRAY, Text, bindparam, text

from kyrochat.jobs.queue import Queue
from kyrochat.jobs.statements import CLAIM
from tests.jobs.scene import Scene


async def test_neither_the_backlog_nor_failed_jobs_are_scanned(scene: Scene, queue: Queue, workspace: UUID) -> None:
    await scene.many(workspace, 5_000)
    await scene.many(await scene.workspace(), 10_000, state="FAILED")
    for _ in range(20):
        await scene.many(await scene.workspace(), 3)
    await scene.run("ANALYZE jobs")

    async with queue.database.begin() as session:
        explain = text(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {CLAIM.text}").bindparams(
            bindparam("kinds", type_=ARRAY(Text))
        )
        values = {"kinds": ["note"], "cap": 2, "limit": 4, "lease_s": 30.0, "after": workspace}
        lines = [str(line) for line in (await (await session.connection()).execute(explain, values)).scalars()]

    plan = "\n".join(lines)
    assert "Seq Scan" not in plan, plan
    buffers = next(line for line in lines if "Buffers:" in line)
    hits = int(buffers.split("shared hit=")[1].split()[0])
    assert hits < 1_000, plan
