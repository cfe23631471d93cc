"""Taking back jobs whose work has become pointless, and asking whether jobs are left."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, text
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.jobs.queue import ClaimedJob


async def withdraw_others(session: AsyncSession, job: ClaimedJob) -> bool:
    """Delete all other jobs of the job's workspace, except those that run now, and say whether there are such."""
    connection = await session.connection()
    values = {"id": job.id, "workspace_id": job.workspace_id}
    # Whoever holds a lease that is over finds his job gone at his next step.
    await connection.execute(_WITHDRAW, values)
    return bool((await connection.execute(_OTHERS, values)).scalar_one())


async def any_left(session: AsyncSession, job_ids: Sequence[UUID]) -> bool:
    """Say whether any of the jobs is not done yet."""
    found = await (await session.connection()).execute(_ANY_LEFT, {"ids": list(job_ids)})
    return bool(found.scalar_one())


_ANY_LEFT = text("SELECT EXISTS (SELECT FROM jobs WHERE id = ANY(:ids))").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)

_WITHDRAW = text("""
    DELETE FROM jobs WHERE workspace_id = :workspace_id AND id <> :id
        AND (state <> 'RUNNING' OR leased_until < statement_timestamp())
""")

_OTHERS = text("SELECT EXISTS (SELECT FROM jobs WHERE workspace_id = :workspace_id AND id <> :id)")
