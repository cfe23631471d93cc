"""A crowd at the door: who cannot be looked up soon hears it at once, and nobody else is kept out for it."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy.pool import QueuePool

from kyrochat.accounts.principals import MAX_LOOKED_UP
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.engine import Database
from kyrochat.errors import Overloaded, Unauthenticated
from tests.accounts.scene import Doors


async def test_of_a_crowd_that_waits_for_the_database_the_last_ones_are_told_that_the_server_is_busy(
    doors: Doors, database: Database
) -> None:
    token = (await doors.register()).access_token
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    async with AsyncExitStack() as all_connections:
        while pool.checkedout() < pool.size():
            session = await all_connections.enter_async_context(database.begin())
            await session.connection()
        crowd = [asyncio.create_task(doors.viewer_of(token)) for _ in range(MAX_LOOKED_UP)]
        await asyncio.sleep(0)  # each has begun, and waits for a connection

        for _ in range(2):
            with pytest.raises(Overloaded, match="busy"):
                await doors.viewer_of(token)
        assert not any(each.done() for each in crowd)

    viewers: list[Viewer] = await asyncio.gather(*crowd)
    assert {viewer.user_id for viewer in viewers} == {(await doors.viewer_of(token)).user_id}


async def test_who_was_turned_away_or_has_gone_takes_no_place(doors: Doors) -> None:
    token = (await doors.register()).access_token

    for _ in range(MAX_LOOKED_UP + 1):
        with pytest.raises(Unauthenticated):
            await doors.viewer_of("nonsense")
    gone = [asyncio.create_task(doors.viewer_of(token)) for _ in range(MAX_LOOKED_UP)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)

    assert (await doors.viewer_of(token)).user_id
