"""What the tests of the job queue have in common: a scene with workspaces, and waiting for a condition."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Job, Workspace
from kyrochat.jobs.queue import enqueue


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, timeout_s: float = 30) -> None:
    """Return as soon as `condition` holds, and fail when it does not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert time.monotonic() < deadline, "The condition did not come true in time."
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Scene:
    """A database with jobs in it, seen from outside."""

    database: Database
    changes: Changes

    async def workspace(self) -> UUID:
        async with self.database.begin() as session:
            workspace = Workspace(name="A workspace")
            session.add(workspace)
        return workspace.id

    async def job(self, workspace_id: UUID, kind: str = "note", **options: Any) -> UUID:
        """Enqueue one job and return its id."""
        async with self.database.begin() as session:
            job_id = await enqueue(
                session,
                self.changes,
                workspace_id=workspace_id,
                kind=kind,
                payload=options.pop("payload", {}),
                **options,
            )
        assert job_id is not None
        return job_id

    async def many(self, workspace_id: UUID, count: int, *, state: str = "QUEUED") -> None:
        """Insert jobs faster than one by one, without a bell."""
        await self.run(
            "INSERT INTO jobs (id, workspace_id, kind, payload, state, priority, attempts, max_attempts)"
            f" SELECT uuidv7(), '{workspace_id}', 'note', '{{}}', '{state}', 0, 0, 5 FROM generate_series(1, {count})"
        )

    async def row(self, job_id: UUID) -> Job | None:
        async with self.database.begin() as session:
            return await session.get(Job, job_id)

    async def rows(self) -> list[Job]:
        async with self.database.begin() as session:
            return list((await session.exec(select(Job).order_by(text("id")))).all())

    async def gone(self, job_id: UUID) -> bool:
        return await self.row(job_id) is None

    async def empty(self) -> bool:
        return not await self.rows()

    async def count(self, rows: str) -> int:
        async with self.database.begin() as session:
            return int((await (await session.connection()).execute(text(f"SELECT count(*) FROM {rows}"))).scalar_one())

    async def run(self, statement: str) -> None:
        async with self.database.begin() as session:
            await (await session.connection()).execute(text(statement))

    async def lapse(self, job_id: UUID) -> None:
        """Let the lease of a job end now."""
        await self.run(f"UPDATE jobs SET leased_until = now() - interval '1 second' WHERE id = '{job_id}'")

    async def effects(self, workspace_id: UUID) -> list[str]:
        """Return what jobs have left behind in a workspace."""
        async with self.database.begin([workspace_id]) as session:
            return list((await session.exec(select(Bot.name).order_by(Bot.name))).all())


def leave_effect(session: AsyncSession, workspace_id: UUID, name: str) -> None:
    """Write a tenant row, as a handler does."""
    session.add(Bot(workspace_id=workspace_id, name=name))
