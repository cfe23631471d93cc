"""A crowd begins a few at a time, in order, and everything else goes on in between."""

import asyncio
from itertools import pairwise

import pytest

from kyrochat.graphql.transport.turnstile import Turnstile


async def test_a_crowd_passes_a_few_in_a_turn_and_in_the_order_in_which_it_came() -> None:
    turnstile = Turnstile(per_turn=10)
    passed: list[int] = []
    seen: list[int] = []

    async def visit(number: int) -> None:
        await turnstile.pass_through()
        passed.append(number)

    async def look() -> None:
        while len(passed) < 100:
            await asyncio.sleep(0)
            seen.append(len(passed))

    await asyncio.gather(look(), *(visit(number) for number in range(100)))

    assert passed == list(range(100))
    steps = [after - before for before, after in pairwise(seen)]
    assert max(seen[0], *steps) <= 10
    assert len(seen) >= 10


async def test_alone_one_passes_without_waiting_again_and_again() -> None:
    turnstile = Turnstile(per_turn=1)

    for _ in range(3):
        with pytest.raises(StopIteration):
            turnstile.pass_through().send(None)
        # The turn is over.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_who_has_gone_away_takes_nobodys_turn_and_holds_up_nobody() -> None:
    turnstile = Turnstile(per_turn=1)
    visits = [asyncio.create_task(turnstile.pass_through()) for _ in range(50)]
    await asyncio.sleep(0)

    for visit in visits[1:-1]:
        visit.cancel()

    async with asyncio.timeout(30):
        await visits[-1]
    assert [visit.cancelled() for visit in visits] == [False, *[True] * 48, False]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(StopIteration):
        turnstile.pass_through().send(None)
