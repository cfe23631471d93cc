"""Bells wake who waits, and hold nobody who is called away."""

import asyncio

import pytest

from kyrochat.chat.log import AnswerLog
from kyrochat.db.changes import Bell, Changes
from kyrochat.db.engine import Database


async def test_a_ring_before_the_wait_is_kept() -> None:
    bell = Bell()
    bell.ring()

    assert await bell.wait(60) is True
    assert await bell.wait(0) is False


async def test_who_is_cancelled_in_the_moment_of_a_ring_is_cancelled() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(60))
    for _ in range(3):
        await asyncio.sleep(0)

    bell.ring()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("turns", range(4))
async def test_a_writer_that_ends_in_the_moment_of_an_append_ends(database: Database, turns: int) -> None:
    log = AnswerLog(database, Changes(), tick_s=60)

    async def begin_and_end() -> None:
        async with log.writing():
            log._work.set()
            for _ in range(5):
                await asyncio.sleep(0)
            log._urgent.set()
            for _ in range(turns):
                await asyncio.sleep(0)

    await asyncio.wait_for(begin_and_end(), 30)


async def test_every_bell_of_a_topic_rings_and_no_other() -> None:
    changes = Changes()
    with changes.watch("a") as first, changes.watch("a") as second, changes.watch("b") as other:
        changes.ring(["a", "nobody's"])

        assert [await bell.wait(0) for bell in (first, second, other)] == [True, True, False]
        changes.ring_all()
        assert [await bell.wait(0) for bell in (first, second, other)] == [True, True, True]
    assert changes._bells == {}
