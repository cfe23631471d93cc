"""Places are shared out fairly, whoever comes in crowds."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyrochat.chat.queue import PERSON_SHARE, WORKSPACE_SHARE, AnswerQueue, Asker
from kyrochat.errors import Overloaded

ADA, ALAN, BOB = Asker(UUID(int=1), "ada"), Asker(UUID(int=1), "alan"), Asker(UUID(int=2), "bob")


@dataclass
class Line:
    """Those who came to a queue; `begun` are their names, in the order in which they had their place."""

    queue: AnswerQueue
    begun: list[str] = field(default_factory=list)
    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    ends: dict[str, asyncio.Event] = field(default_factory=dict)

    async def come(self, asker: Asker, name: str) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(asker, name))
        await turns()

    async def _stay(self, asker: Asker, name: str) -> None:
        async with self.queue.place(asker):
            self.begun.append(name)
            await self.ends[name].wait()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await turns()

    async def go_away(self, name: str) -> None:
        self.tasks[name].cancel()
        await turns()

    async def drain(self) -> None:
        """Let everybody have his turn, one after the other."""
        place = 0
        while place < len(self.begun):
            await self.end(self.begun[place])
            place += 1
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_the_turn_goes_round_workspaces_and_in_them_round_people() -> None:
    line = Line(AnswerQueue(max_running=1))
    for asker, name in [(ADA, "a1"), (ADA, "a2"), (ADA, "a3"), (ADA, "a4"), (ALAN, "l1"), (ALAN, "l2"), (BOB, "b1")]:
        await line.come(asker, name)
    await line.come(BOB, "b2")

    await line.drain()

    assert line.begun == ["a1", "a2", "b1", "l1", "b2", "a3", "l2", "a4"]
    assert (line.queue.running, line.queue.waiting) == (0, 0)


async def test_a_flood_leaves_a_place_free_for_who_comes_next() -> None:
    line = Line(AnswerQueue(max_running=10))
    for number in range(100):
        await line.come(ADA, f"a{number}")
    flooded = line.queue.running

    await line.come(BOB, "b")

    # Nobody had to end for that.
    assert flooded == 8
    assert line.begun[8:] == ["b"]
    # Within the workspace the next one is for who has none.
    await line.come(ALAN, "l")
    await line.end("b")
    assert line.begun[9:] == ["l"]
    await line.drain()


async def test_few_places_are_all_for_whoever_is_there() -> None:
    for places in (1, 2, 3):
        line = Line(AnswerQueue(max_running=places))
        for number in range(places + 1):
            await line.come(ADA, f"a{number}")

        assert line.queue.running == places
        await line.drain()


async def test_a_flood_cannot_fill_the_line() -> None:
    queue = AnswerQueue(max_running=1, max_waiting=90)
    line = Line(queue)

    async def flood(asker: Asker) -> int:
        """Come until there is no room, and return how many could."""
        count = 0
        while True:
            try:
                queue.must_have_room(asker)
            except Overloaded:
                return count
            await line.come(asker, f"{asker.who}{count}")
            count += 1

    # Each takes a share of what is left, and there is always something left.
    assert [await flood(asker) for asker in (ADA, ALAN, BOB)] == [31, 15, 15]
    assert queue.waiting == 60
    queue.must_have_room(Asker(UUID(int=3), "eve"))
    await line.drain()


async def test_a_line_without_places_takes_nobody_who_would_have_to_wait() -> None:
    queue = AnswerQueue(max_running=2, max_waiting=0)
    line = Line(queue)
    await line.come(ADA, "a1")
    queue.must_have_room(ADA)
    await line.come(ADA, "a2")

    with pytest.raises(Overloaded):
        queue.must_have_room(BOB)
    await line.end("a1")

    queue.must_have_room(BOB)
    await line.drain()


async def test_a_closed_queue_lets_nobody_in_any_more() -> None:
    line = Line(AnswerQueue(max_running=1))
    await line.come(ADA, "a")
    await line.come(BOB, "b")

    line.queue.close()
    await line.end("a")

    assert line.begun == ["a"]
    await line.go_away("b")
    assert (line.queue.running, line.queue.waiting) == (0, 0)


async def test_who_is_called_away_in_the_moment_of_his_turn_takes_no_place() -> None:
    line = Line(AnswerQueue(max_running=1))
    await line.come(ADA, "a")
    await line.come(BOB, "b")

    line.ends["a"].set()
    await asyncio.sleep(0)
    line.tasks["b"].cancel()
    await turns()

    assert (line.queue.running, line.queue.waiting) == (0, 0)
    async with AsyncExitStack() as stack:
        assert await stack.enter_async_context(line.queue.place(ALAN)) is False


ASKERS = [Asker(UUID(int=workspace), who) for workspace in range(3) for who in "ab"]
STEPS = st.lists(st.tuples(st.sampled_from(["come", "come", "come", "end", "leave"]), st.integers(0, 99)), max_size=60)


@given(places=st.integers(1, 12), steps=STEPS)
@settings(max_examples=150, deadline=None)
async def test_whatever_happens_places_are_bounded_none_is_lost_and_ones_own_order_stays(
    places: int, steps: list[tuple[str, int]]
) -> None:
    line = Line(AnswerQueue(max_running=places))
    askers: dict[str, Asker] = {}
    gone: set[str] = set()

    for what, number in steps:
        running = [name for name in line.begun if name not in gone]
        everybody = [name for name in askers if name not in gone]
        if what == "come":
            name = f"{len(askers)}"
            askers[name] = ASKERS[number % len(ASKERS)]
            await line.come(askers[name], name)
        elif what == "end" and running:
            gone.add(name := running[number % len(running)])
            await line.end(name)
        elif what == "leave" and everybody:
            gone.add(name := everybody[number % len(everybody)])
            await line.go_away(name)

        now = [name for name in line.begun if name not in gone]
        waiting = [name for name in askers if name not in gone and name not in line.begun]
        per_workspace = Counter(askers[name].workspace_id for name in now)
        free = places - len(now)
        assert (line.queue.running, line.queue.waiting) == (len(now), len(waiting))
        assert free >= 0
        # Nobody waits whose share of the places is not used up.
        for name in waiting:
            own = sum(askers[each] == askers[name] for each in now)
            assert own >= PERSON_SHARE * free or per_workspace[askers[name].workspace_id] >= WORKSPACE_SHARE * free
    await line.drain()

    assert (line.queue.running, line.queue.waiting) == (0, 0)
    for asker in ASKERS:
        begun = [name for name in line.begun if askers[name] == asker]
        assert begun == sorted(begun, key=int)
