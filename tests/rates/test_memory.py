"""Counting in memory: exact about when to try again, and bounded whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from kyrochat.rates.counters import MemoryCounters
from kyrochat.rates.limits import LIMITS, Limit
from kyrochat.rates.window import wait_s
from tests.rates.conftest import Clock

limits = st.builds(Limit, st.just("any"), st.integers(1, 50), st.sampled_from([1, 7, 60, 3_600]))


@given(limits, st.lists(st.tuples(st.floats(0, 2.5), st.floats(0.01, 1)), max_size=60))
async def test_the_wait_that_is_told_is_long_enough_and_less_than_a_second_too_long(
    limit: Limit, charges: list[tuple[float, float]]
) -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    for pause, share in charges:
        clock.now += pause * limit.period_s
        cost = max(1, round(share * limit.amount))
        if await counters.take("key", limit, cost):
            continue
        refused_at, told_s = clock.now, wait_s(limit, await counters.window("key", limit), cost)
        if told_s > 1:
            clock.now = refused_at + told_s - 1.01
            assert not await counters.take("key", limit, cost)
        clock.now = refused_at + told_s
        assert await counters.take("key", limit, cost)


@given(limits, st.lists(st.tuples(st.floats(0, 0.7), st.integers(1, 50)), max_size=80))
async def test_no_period_sees_more_than_twice_the_limit_and_many_see_the_limit(
    limit: Limit, charges: list[tuple[float, int]]
) -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    allowed: list[tuple[float, int]] = []
    for pause, cost in charges:
        clock.now += pause * limit.period_s
        if await counters.take("key", limit, cost):
            allowed.append((clock.now, cost))

    for begin, _ in allowed:
        within = sum(cost for at, cost in allowed if begin <= at < begin + limit.period_s)
        assert within < 2 * limit.amount or limit.amount == within == 1
    periods = (clock.now - 1_000.0) / limit.period_s
    assert sum(cost for _, cost in allowed) <= limit.amount * (periods + 1)


async def test_beyond_its_bound_it_forgets_who_came_longest_ago_of_the_limit_that_has_most() -> None:
    counters = MemoryCounters(max_subjects=1_000, clock=Clock())
    flooded, quiet = Limit("flooded", 1, 60), Limit("quiet", 1, 60)
    for number in range(100):
        await counters.take(f"quiet:{number}", quiet, 1)

    for number in range(5_000):
        await counters.take(f"flooded:{number}", flooded, 1)
        # Asking keeps a counter, although it is refused.
        await counters.take("flooded:0", flooded, 1)

    assert len(counters) == 1_000
    assert not await counters.take("flooded:0", flooded, 1)
    assert not await counters.take("flooded:4999", flooded, 1)
    assert await counters.take("flooded:1", flooded, 1)
    assert not any([await counters.take(f"quiet:{number}", quiet, 1) for number in range(100)])


async def test_what_is_over_is_dropped_by_and_by() -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    short, long = Limit("short", 5, 60), Limit("long", 5, 3_600)
    await counters.take("long", long, 1)
    for number in range(1_000):
        await counters.take(f"short:{number}", short, 1)

    clock.now += 121
    for number in range(600):
        await counters.take(f"new:{number}", short, 1)

    assert len(counters) == 601
    assert (await counters.window("long", long)).current == 1
    await counters.forget("long", long)
    assert len(counters) == 600


def test_limits_have_names_of_their_own() -> None:
    assert len({limit.name for limit in LIMITS}) == len(LIMITS)
