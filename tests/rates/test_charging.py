"""What a limit lets pass and what it refuses, in memory and in Redis alike."""

import asyncio

import pytest

from kyrochat.errors import RateLimited
from kyrochat.rates.counters import MemoryCounters
from kyrochat.rates.limits import Limit
from kyrochat.rates.service import Rates, network
from tests.rates.conftest import KEY, Scene

TEN = Limit("ten", 10, 60)
OTHER = Limit("other", 10, 60)


async def spend(rates: Rates, limit: Limit, subject: str, times: int) -> int:
    """Charge so often, and return how often it was allowed."""
    allowed = 0
    for _ in range(times):
        try:
            await rates.charge(limit, subject)
            allowed += 1
        except RateLimited:
            pass
    return allowed


async def test_as_much_as_the_limit_passes_and_no_more(scene: Scene) -> None:
    assert await spend(scene.rates, TEN, "ada", 12) == 10

    assert await scene.rates.remaining(TEN, "ada") == 0
    # Neither another subject nor another limit has paid for it.
    assert await scene.rates.remaining(TEN, "bob") == 10
    assert await scene.rates.remaining(OTHER, "ada") == 10
    assert await spend(scene.rates, TEN, "bob", 12) == 10
    assert await spend(scene.rates, OTHER, "ada", 12) == 10


async def test_what_is_refused_is_not_counted(scene: Scene) -> None:
    await scene.rates.charge(TEN, "ada", cost=7)

    for _ in range(3):
        with pytest.raises(RateLimited):
            await scene.rates.charge(TEN, "ada", cost=4)

    assert await scene.rates.remaining(TEN, "ada") == 3
    await scene.rates.charge(TEN, "ada", cost=3)
    assert await scene.rates.remaining(TEN, "ada") == 0


async def test_who_waits_as_long_as_told_gets_through(scene: Scene) -> None:
    await scene.rates.charge(TEN, "ada", cost=10)

    with pytest.raises(RateLimited) as refused:
        await scene.rates.charge(TEN, "ada")
    assert 59 < refused.value.retry_after_s <= 61
    await scene.let_pass(refused.value.retry_after_s - 1.5)
    with pytest.raises(RateLimited):
        await scene.rates.charge(TEN, "ada")
    await scene.let_pass(1.5)

    await scene.rates.charge(TEN, "ada")


async def test_a_window_fades_and_does_not_end_at_once(scene: Scene) -> None:
    await scene.rates.charge(TEN, "ada", cost=10)

    await scene.let_pass(60 + 32)

    # Half of the minute before still counts.
    assert await spend(scene.rates, TEN, "ada", 10) == 6
    await scene.let_pass(3 * 60)
    assert await scene.rates.remaining(TEN, "ada") == 10


async def test_what_is_forgiven_may_be_charged_again(scene: Scene) -> None:
    await scene.rates.charge(TEN, "ada", cost=10)
    await scene.rates.charge(TEN, "bob", cost=10)

    await scene.rates.forgive(TEN, "ada")

    assert (await scene.rates.remaining(TEN, "ada"), await scene.rates.remaining(TEN, "bob")) == (10, 0)
    await scene.rates.forgive(TEN, "nobody")


async def test_of_many_at_once_exactly_the_limit_passes(scene: Scene) -> None:
    outcomes = await asyncio.gather(*(scene.rates.charge(TEN, "ada") for _ in range(100)), return_exceptions=True)

    assert [outcome for outcome in outcomes if outcome is None] == [None] * 10
    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 90


async def test_several_words_are_one_subject_and_their_borders_count(scene: Scene) -> None:
    await scene.rates.charge(TEN, "ab", "c", cost=10)

    assert await scene.rates.remaining(TEN, "ab", "c") == 0
    assert await scene.rates.remaining(TEN, "a", "bc") == 10
    assert await scene.rates.remaining(TEN, "abc") == 10
    assert await scene.rates.remaining(TEN, "c", "ab") == 10
    # Whatever a client sends as an e-mail address can be hashed.
    await scene.rates.charge(TEN, "\ud800 half a pair", "", "\x00" * 1_000)


async def test_switched_off_everything_passes_and_nothing_is_counted() -> None:
    counters = MemoryCounters()
    rates = Rates(KEY, local=counters, is_on=False)

    assert await spend(rates, TEN, "ada", 100) == 100

    assert await rates.remaining(TEN, "ada") == 10
    await rates.forgive(TEN, "ada")
    assert len(counters) == 0


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:DB8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_of_an_ipv6_address_the_network_counts(address: str, counted_as: str) -> None:
    assert network(address) == counted_as
