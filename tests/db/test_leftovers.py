"""Pooled connections remember nobody: whoever comes next sees his own rows, however the one before him left."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import Bot, Workspace

TENANTS = 1_000
SETTINGS = ("kyrochat.workspaces", "kyrochat.credential", "kyrochat.administers")


async def commits(session: AsyncSession) -> None:
    pass


async def raises(session: AsyncSession) -> None:
    raise LookupError


async def fails(session: AsyncSession) -> None:
    await (await session.connection()).execute(text("SELECT 1 / 0"))


async def rolls_back(session: AsyncSession) -> None:
    await session.rollback()


async def goes_away(session: AsyncSession) -> None:
    raise asyncio.CancelledError


async def is_cut_off(session: AsyncSession) -> None:
    """Cancelled while PostgreSQL works on a statement: its connection cannot be used again."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().call_soon(task.cancel)
    await (await session.connection()).execute(text("SELECT pg_sleep(60)"))


Ending = Callable[[AsyncSession], Awaitable[None]]
ENDINGS: list[Ending] = [commits, raises, fails, rolls_back, goes_away, is_cut_off]


@pytest.fixture
async def pool_of_two(urls: DatabaseUrls) -> AsyncGenerator[Database, None]:
    opened = open_database(urls.app, pool_size=2)
    yield opened
    await opened.close()


async def test_two_connections_that_serve_a_thousand_tenants_at_once_mix_up_none(pool_of_two: Database) -> None:
    workspaces = [Workspace(id=new_id(), name="W") for _ in range(TENANTS)]
    async with pool_of_two.begin([workspace.id for workspace in workspaces]) as session:
        session.add_all(workspaces)
        await session.flush()
        session.add_all([Bot(workspace_id=workspace.id, name=str(workspace.id)) for workspace in workspaces])
    chance = random.Random(7)
    turns = asyncio.Semaphore(20)  # more than there are connections, and fewer than would wait too long for one

    async def visit(workspace_id: UUID, ending: Ending) -> list[str]:
        """Look around as a tenant, and leave; return what was seen."""
        names: list[str] = []
        async with turns:
            with suppress(LookupError, DBAPIError, asyncio.CancelledError):
                async with pool_of_two.begin([workspace_id]) as session:
                    names += (await session.exec(select(Bot.name))).all()
                    await ending(session)
        return names

    async def look_unscoped() -> list[str]:
        async with turns, pool_of_two.begin() as session:
            return list((await session.exec(select(Bot.name))).all())

    order = [workspace.id for workspace in workspaces]
    chance.shuffle(order)
    # Being cut off costs a new connection each time: some are enough.
    visits = [
        visit(each, chance.choice(ENDINGS if turn % 20 == 0 else ENDINGS[:-1])) for turn, each in enumerate(order)
    ]
    looks = [look_unscoped() for _ in order]
    seen = await asyncio.gather(*(one for pair in zip(visits, looks, strict=True) for one in pair))

    assert seen[0::2] == [[str(workspace_id)] for workspace_id in order]
    assert seen[1::2] == [[]] * len(order)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
async def test_nothing_that_a_transaction_was_told_outlives_it(urls: DatabaseUrls, ending: Ending) -> None:
    pool = open_database(urls.app, pool_size=1)

    async def settings() -> list[str | None]:
        async with pool.engine.connect() as connection:
            found = await connection.execute(
                text("SELECT " + ", ".join(f"current_setting('{name}', true)" for name in SETTINGS))
            )
            return list(found.one())

    async def told() -> list[str | None]:
        async with pool.begin([new_id()], credential=b"secret", administers=True) as session:
            found = await (await session.connection()).execute(
                text("SELECT " + ", ".join(f"current_setting('{name}', true)" for name in SETTINGS))
            )
            was_told = list(found.one())
            await ending(session)
        return was_told

    task = asyncio.create_task(told())
    await asyncio.wait([task])
    after = await settings()

    assert set(after) <= {None, ""}
    if ending is commits:
        assert all(task.result())
    await pool.close()
