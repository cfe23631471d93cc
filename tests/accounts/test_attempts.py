"""Passwords may be tried a few times: guessing ends soon, and nobody can be locked out by it."""

import asyncio
import threading
from collections.abc import Awaitable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sqlmodel import select

from kyrochat.accounts.passwords import MAX_WAITING, Passwords
from kyrochat.accounts.viewer import Client
from kyrochat.db.models import User
from kyrochat.errors import InvalidCredentials, InvalidInput, KyroError, Overloaded, RateLimited
from kyrochat.rates.counters import MemoryCounters
from kyrochat.rates.limits import FAILED_LOGIN, LOGIN_PER_ADDRESS, REFRESH_PER_SESSION
from kyrochat.rates.service import Rates
from kyrochat.rates.shared import open_shared
from tests.accounts.conftest import CountingHasher
from tests.accounts.scene import PASSWORD, Doors
from tests.rates.conftest import KEY, Clock
from tests.rates.redis_process import RedisProcess, needs_redis

ADA = "ada@example.com"
AT_HOME = Client("198.51.100.7")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    return Rates(KEY, local=MemoryCounters(clock=clock))


@pytest.fixture
async def limited(doors: Doors, rates: Rates) -> Doors:
    """The same doors with limits, and Ada, who has an account."""
    await doors.register(ADA, PASSWORD)
    return with_rates(doors, rates)


def with_rates(doors: Doors, rates: Rates) -> Doors:
    sessions = replace(doors.sessions, rates=rates)
    return replace(doors, sessions=sessions, registration=replace(doors.registration, sessions=sessions, rates=rates))


def at(number: int) -> Client:
    """A client of its own network, of 16,000 that there are."""
    return Client(f"2001:db8:{number:x}::1")


async def guess(doors: Doors, times: int, email: str, client: Client) -> int:
    """Guess so often, and return how often it was tried."""
    tried = 0
    for number in range(times):
        try:
            await doors.sessions.login(email, f"guess {number}", client)
            pytest.fail("A guess was right.")
        except InvalidCredentials:
            tried += 1
        except RateLimited:
            pass
    return tried


async def test_the_eleventh_guess_is_not_even_hashed_and_the_owner_signs_in_from_his_own_address(
    limited: Doors, hasher: CountingHasher
) -> None:
    attacker = Client("203.0.113.9")

    assert await guess(limited, 30, ADA, attacker) == 10

    assert len(hasher.verified) == 10
    with pytest.raises(RateLimited) as refused:
        await limited.sessions.login(ADA, PASSWORD, attacker)
    assert 0 < refused.value.retry_after_s <= 2 * 15 * 60
    assert len(hasher.verified) == 10
    assert (await limited.sessions.login(ADA, PASSWORD, AT_HOME)).user.email == ADA


async def test_who_waits_as_long_as_told_may_try_again(limited: Doors, clock: Clock) -> None:
    await guess(limited, 10, ADA, AT_HOME)
    with pytest.raises(RateLimited) as refused:
        await limited.sessions.login(ADA, PASSWORD, AT_HOME)

    clock.now += refused.value.retry_after_s

    assert (await limited.sessions.login(ADA, PASSWORD, AT_HOME)).user.email == ADA


async def test_other_addresses_of_the_same_ipv6_network_do_not_help(limited: Doors) -> None:
    assert sum([await guess(limited, 1, ADA, Client(f"2001:db8:0:7::{number:x}")) for number in range(1, 30)]) == 10
    assert await guess(limited, 1, ADA, Client("2001:db8:0:8::1")) == 1
    assert await guess(limited, 12, ADA, Client("192.0.2.1")) == 10
    assert await guess(limited, 1, ADA, Client("::ffff:192.0.2.1")) == 0


async def test_who_signs_in_has_all_attempts_again_and_an_attacker_has_not(limited: Doors) -> None:
    attacker = Client("203.0.113.9")
    await limited.register("mallory@example.com", PASSWORD)
    assert await guess(limited, 9, ADA, AT_HOME) == 9
    assert await guess(limited, 9, ADA, attacker) == 9

    await limited.sessions.login(ADA, PASSWORD, AT_HOME)
    await limited.sessions.login("mallory@example.com", PASSWORD, attacker)

    assert await guess(limited, 12, ADA, AT_HOME) == 10
    assert await guess(limited, 12, ADA, attacker) == 1


async def test_guessing_at_many_accounts_from_one_address_ends_too_whether_they_exist_or_not(limited: Doors) -> None:
    emails = [ADA] + [f"nobody{number}@example.com" for number in range(40)]

    tried = [await guess(limited, 1, email, AT_HOME) for email in emails]

    assert tried == [1] * 20 + [0] * 21


async def test_an_account_that_many_places_guess_at_stays_open_for_its_owner(limited: Doors) -> None:
    assert sum([await guess(limited, 5, ADA, at(number)) for number in range(20)]) == 100

    # From now on each place has two attempts, a hundred times as many places as well.
    assert [await guess(limited, 5, ADA, at(number)) for number in range(100, 130)] == [2] * 30
    assert (await limited.sessions.login(ADA, PASSWORD, AT_HOME)).user.email == ADA
    # Other accounts are as before.
    assert await guess(limited, 12, "bob@example.com", at(200)) == 10


async def test_while_everybody_guesses_each_place_has_one_attempt_a_minute(limited: Doors, rates: Rates) -> None:
    assert sum([await guess(limited, 1, f"u{number}@example.com", at(number)) for number in range(20)]) == 20
    await rates.charge(FAILED_LOGIN, cost=FAILED_LOGIN.amount - 20)

    assert [await guess(limited, 3, f"u{number}@example.com", at(number)) for number in range(100, 110)] == [1] * 10

    assert (await limited.sessions.login(ADA, PASSWORD, AT_HOME)).user.email == ADA


async def test_what_the_server_is_too_busy_for_is_not_charged(limited: Doors, rates: Rates) -> None:
    with ExitStack() as line:
        for _ in range(MAX_WAITING):
            line.enter_context(limited.sessions.passwords.place())
        for _ in range(50):
            with pytest.raises(Overloaded):
                await limited.sessions.login(ADA, PASSWORD, AT_HOME)

    assert await rates.remaining(LOGIN_PER_ADDRESS, AT_HOME.address) == LOGIN_PER_ADDRESS.amount
    assert (await limited.sessions.login(ADA, PASSWORD, AT_HOME)).user.email == ADA


async def test_five_hundred_attempts_at_once_are_as_many_as_the_limit_and_the_rest_is_told_to_wait(
    limited: Doors, hasher: CountingHasher
) -> None:
    attempts = [limited.sessions.login(ADA, f"guess {number}", AT_HOME) for number in range(500)]

    outcomes = await asyncio.gather(*attempts, return_exceptions=True)

    assert sum(isinstance(outcome, InvalidCredentials) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 490
    assert len(hasher.verified) == 10


class GatedHasher(CountingHasher):
    """Verifies when the gate is open."""

    gate = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        assert self.gate.wait(30)
        return super().verify(hash, password)


async def test_of_five_hundred_attempts_at_once_from_everywhere_fifty_get_in_line_and_the_rest_comes_later(
    limited: Doors,
) -> None:
    hasher = GatedHasher()
    passwords = Passwords(hasher)
    sessions = replace(limited.sessions, passwords=passwords)
    attempts = [sessions.login(f"u{number}@example.com", "guess", at(number)) for number in range(500)]

    outcomes = []
    for attempt in asyncio.as_completed(attempts):
        outcomes.append(type(await _outcome(attempt)))
        if len(outcomes) == 500 - MAX_WAITING:
            hasher.gate.set()

    passwords.close()
    assert outcomes == [Overloaded] * (500 - MAX_WAITING) + [InvalidCredentials] * MAX_WAITING
    assert len(hasher.verified) == MAX_WAITING


async def _outcome(attempt: Awaitable[object]) -> object:
    try:
        return await attempt
    except KyroError as error:
        return error


async def test_the_sixth_account_from_one_address_is_refused_before_its_password_is_hashed(
    limited: Doors, hasher: CountingHasher
) -> None:
    register = limited.registration.register
    hashed = hasher.hashed
    for number in range(5):
        await register(f"u{number}@example.com", PASSWORD, AT_HOME)
    with pytest.raises(RateLimited):
        await register("u5@example.com", PASSWORD, AT_HOME)
    assert hasher.hashed == hashed + 5
    async with limited.database.begin() as session:
        assert (await session.exec(select(User).where(User.email == "u5@example.com"))).first() is None

    await register("u6@example.com", PASSWORD, at(1))
    # What breaks a rule is told as that.
    with pytest.raises(InvalidInput):
        await register("no address", PASSWORD, AT_HOME)


async def test_a_session_that_is_refreshed_all_the_time_has_to_wait_and_is_not_lost(
    limited: Doors, clock: Clock
) -> None:
    signed_in, other = [await limited.sessions.login(ADA, PASSWORD, AT_HOME) for _ in range(2)]
    token = signed_in.refresh_token
    for _ in range(REFRESH_PER_SESSION.amount):
        token = (await limited.sessions.refresh(token, AT_HOME)).refresh_token

    with pytest.raises(RateLimited) as refused:
        await limited.sessions.refresh(token, AT_HOME)

    await limited.sessions.refresh(other.refresh_token, AT_HOME)
    clock.now += refused.value.retry_after_s
    assert (await limited.sessions.refresh(token, AT_HOME)).user.email == ADA


@needs_redis
async def test_without_redis_guessing_is_limited_all_the_same(doors: Doors, tmp_path: Path) -> None:
    await doors.register(ADA, PASSWORD)
    async with open_shared(RedisProcess(tmp_path).url) as away:
        limited = with_rates(doors, Rates(KEY, shared=away))

        assert await guess(limited, 30, ADA, Client("203.0.113.9")) == 10
        assert (await limited.sessions.login(ADA, PASSWORD, AT_HOME)).user.email == ADA
