"""Waiting is cheap while bells are heard, and a bell that is lost costs about two seconds however it was lost."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager

import pytest
from sqlalchemy import event

from kyrochat.db.changes import CALM_S, MAX_LOOKS_AT_ONCE, MAX_LOOKS_PER_S, POLL_S, Changes
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from tests.db.wire import Wire, wire_to

# What a lost bell may cost: a second between two signs of life, a second for an answer, and some for a slow machine.
LOST_S = 4.0


@pytest.fixture
async def wire(urls: DatabaseUrls) -> AsyncGenerator[Wire, None]:
    async with wire_to(urls.app) as wire:
        yield wire


@asynccontextmanager
async def listening_over(wire: Wire) -> AsyncGenerator[Changes, None]:
    # Every second, to find out soon that notifications are dropped on a connection that is otherwise well.
    changes, database = Changes(echo_every_s=1.0), open_database(wire.url, pool_size=2)
    async with changes.listening(database.engine):
        await until_it(changes, hears=True)
        yield changes
    await database.close()


async def until_it(changes: Changes, *, hears: bool, within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while (changes.patience_s > POLL_S) != hears:
            await asyncio.sleep(0.01)


async def test_nobody_looks_while_bells_are_heard_however_many_wait(
    database: Database, changes: Changes, caplog: pytest.LogCaptureFixture
) -> None:
    await until_it(changes, hears=True)
    statements: list[str] = []
    event.listen(
        database.engine.sync_engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    with ExitStack() as stack:
        bells = [stack.enter_context(changes.watch(f"topic:{number}")) for number in range(2_000)]
        waiting = [asyncio.create_task(bell.wait()) for bell in bells]
        # Longer than the polls would have taken, and than a few signs of life.
        done, _ = await asyncio.wait(waiting, timeout=POLL_S + 1)

        assert not done
        assert statements == []
        assert all(CALM_S / 2 <= changes.patience_s <= CALM_S for _ in range(100))

        async with database.begin() as session:
            await changes.announce(session, ["topic:7"])
        assert await asyncio.wait_for(waiting[7], 30)
        assert sum(task.done() for task in waiting) == 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_who_does_not_listen_looks_every_two_seconds() -> None:
    changes = Changes()
    with changes.watch("a") as bell:
        began_at = time.monotonic()
        assert not await bell.wait()
        assert POLL_S - 0.1 < time.monotonic() - began_at < POLL_S + 2


async def test_a_crowd_that_cannot_hear_looks_less_often() -> None:
    changes = Changes()
    with ExitStack() as stack:
        for number in range(2_000):
            stack.enter_context(changes.watch(f"topic:{number}"))
        assert changes.patience_s == 2_000 / MAX_LOOKS_PER_S
    assert changes.patience_s == POLL_S


@pytest.mark.parametrize("fault", ["is_dead", "drops_notifications"])
async def test_a_bell_that_is_lost_costs_about_two_seconds(wire: Wire, database: Database, fault: str) -> None:
    async with listening_over(wire) as changes:
        with changes.watch("a") as bell:
            # The ring of the beginning.
            await bell.wait(0)
            setattr(wire, fault, True)
            async with database.begin() as session:
                await changes.announce(session, ["a"])
            began_at = time.monotonic()

            assert await bell.wait()

            assert time.monotonic() - began_at < LOST_S
            assert wire.dropped
            # As long as it lasts, everybody looks by himself.
            await until_it(changes, hears=False)
            setattr(wire, fault, False)
            await until_it(changes, hears=True)
            await bell.wait(0)
            async with database.begin() as session:
                await changes.announce(session, ["a"])
            assert await bell.wait(5)


async def test_a_connection_that_never_hears_is_not_relied_upon(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """So it is behind a pooler that gives each transaction another session."""
    wire.drops_notifications = True
    changes, database = Changes(), open_database(wire.url, pool_size=2)
    async with changes.listening(database.engine):
        async with asyncio.timeout(30):
            while wire.connections < 2:
                assert changes.patience_s == POLL_S
                await asyncio.sleep(0.01)
    await database.close()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "Listening for changes failed (Deaf); trying until it works"
    ]


async def test_a_connection_that_answers_is_kept(wire: Wire) -> None:
    async with listening_over(wire):
        await asyncio.sleep(2.5)
        assert wire.connections == 1


async def test_a_crowd_is_woken_little_by_little_and_each_in_its_turn() -> None:
    changes = Changes()
    with ExitStack() as stack:
        bells = [stack.enter_context(changes.watch(f"topic:{number}")) for number in range(3 * MAX_LOOKS_AT_ONCE)]
        order: list[int] = []

        async def wait(number: int) -> None:
            await bells[number].wait(60)
            order.append(number)

        waiting = [asyncio.create_task(wait(number)) for number in range(len(bells))]
        await asyncio.sleep(0)
        changes.ring_all()
        for _ in range(5):
            await asyncio.sleep(0)
        assert order == list(range(MAX_LOOKS_AT_ONCE))

        # Again in the middle: nobody is put back, and nobody is forgotten.
        changes.ring_all()
        await asyncio.wait_for(asyncio.gather(*waiting), 30)
        assert order == list(range(len(bells)))
