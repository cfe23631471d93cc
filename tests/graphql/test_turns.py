"""Turns: never more at a time than there is room for, in the order of arrival, and none is lost."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from kyrochat.graphql.transport.turns import Turn, Turns


async def at_once() -> None:
    """Be a client that reads."""


@given(st.lists(st.tuples(st.integers(1, 15), st.booleans()), max_size=30), st.randoms())
def test_the_room_is_never_exceeded_and_everybody_gets_a_turn(
    operations: list[tuple[int, bool]], random: object
) -> None:
    async def run() -> None:
        turns = Turns(at_once, capacity=10, patience_s=100)
        inside: dict[int, int] = {}
        order: list[int] = []

        async def operate(number: int, weight: int) -> None:
            turn = Turn(turns)
            try:
                await turn.take(weight)
                inside[number] = min(weight, 10)
                order.append(number)
                assert sum(inside.values()) <= 10
                for _ in range(number % 4):
                    await asyncio.sleep(0)
            finally:
                inside.pop(number, None)
                turn.give_back()

        tasks = [asyncio.create_task(operate(number, weight)) for number, (weight, _) in enumerate(operations)]
        await asyncio.sleep(0)
        for task, (_, is_cancelled) in zip(tasks, operations, strict=True):
            if is_cancelled:
                task.cancel()
        # Nobody is left waiting.
        async with asyncio.timeout(30):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}

        assert order == sorted(order)
        finished = [number for number, (_, is_cancelled) in enumerate(operations) if not is_cancelled]
        assert set(finished) <= set(order)
        assert turns._taken == 0
        assert not turns._waiting

    asyncio.run(run())


async def test_who_has_the_turn_waits_for_the_client_and_all_others_wait_behind() -> None:
    reads = asyncio.Event()
    turns = Turns(reads.wait, capacity=10)
    first, second = Turn(turns), Turn(turns)
    taking = [asyncio.create_task(first.take(10)), asyncio.create_task(second.take(1))]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in taking)

    reads.set()
    await taking[0]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not taking[1].done()

    first.give_back()
    first.give_back()
    await taking[1]
    assert turns._taken == 1


async def test_who_takes_too_long_has_to_let_others_go_ahead() -> None:
    turns = Turns(at_once, capacity=10, patience_s=0.01)
    slow, quick = Turn(turns), Turn(turns)
    await slow.take(1_000_000)

    await asyncio.wait_for(quick.take(10), 30)

    # What is late to give its turn back takes none of the others.
    slow.give_back()
    assert turns._taken == 10


async def test_a_turn_that_is_given_in_the_moment_of_a_cancellation_is_not_lost() -> None:
    turns = Turns(at_once, capacity=10)
    first, second, third = Turn(turns), Turn(turns), Turn(turns)
    await first.take(10)
    waiting = asyncio.create_task(second.take(10))
    await asyncio.sleep(0)

    first.give_back()
    waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    await asyncio.wait_for(third.take(10), 30)
