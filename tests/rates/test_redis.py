"""Redis comes, goes, hangs and comes again: nobody waits for it, and its log is short."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from kyrochat.errors import ConfigurationError, RateLimited
from kyrochat.rates.limits import Limit, WhenAway
from kyrochat.rates.service import Rates, open_rates
from kyrochat.rates.shared import RETRY_S, SharedCounters, open_shared
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings
from tests.rates.conftest import KEY, Clock
from tests.rates.redis_process import RedisProcess, needs_redis

LOGIN = Limit("login", 3, 60, WhenAway.COUNT_HERE)
POINTS = Limit("points", 3, 60)

pytestmark = needs_redis


async def spend(rates: Rates, limit: Limit, times: int) -> int:
    """Charge at once so often, and return how often it was allowed."""
    outcomes = await asyncio.gather(*(rates.charge(limit, "ada") for _ in range(times)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), RateLimited}
    return outcomes.count(None)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return how each line of the log begins."""
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("kyrochat.rates")]
    return [" ".join(line.split()[:3]) for line in lines]


def patient(url: str, clock: Callable[[], float] = time.monotonic) -> AbstractAsyncContextManager[SharedCounters]:
    """Open counters that wait for a Redis which a busy machine holds up."""
    return open_shared(url, timeout_s=10, clock=clock)


CROWD = 1_600
AWAY, BACK = "Redis does not", "Redis is back:"


async def test_processes_share_what_they_count(redis: RedisProcess) -> None:
    async with patient(redis.url) as one, patient(redis.url) as other:
        spent = await asyncio.gather(
            spend(Rates(KEY, shared=one), POINTS, 20), spend(Rates(KEY, shared=other), POINTS, 20)
        )

        assert sum(spent) == 3
        assert await Rates(KEY, shared=other).remaining(POINTS, "ada") == 0
        # Without the key nobody can say whose counter it is.
        assert await Rates(b"another key", shared=other).remaining(POINTS, "ada") == 3


async def test_redis_is_told_no_addresses_and_forgets_by_itself(redis: RedisProcess) -> None:
    from redis.asyncio import Redis

    async with patient(redis.url) as counters:
        await Rates(KEY, shared=counters).charge(LOGIN, "ada@example.org", "192.0.2.7")

    async with Redis.from_url(redis.url) as client:
        keys = await client.keys("*")
        dump = b"".join([key + await client.get(key) for key in keys])
        assert len(keys) == 1
        assert all([0 < await client.ttl(key) <= 2 * LOGIN.period_s for key in keys])
    assert b"ada" not in dump
    assert b"192" not in dump


async def test_without_redis_sign_ins_are_counted_here_and_the_rest_passes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = RedisProcess(tmp_path)
    async with open_shared(nobody.url) as counters:
        rates = Rates(KEY, shared=counters)

        assert await spend(rates, LOGIN, 50) == 3
        assert await spend(rates, POINTS, 50) == 50

        assert await rates.remaining(LOGIN, "ada") == 0
        assert await rates.remaining(POINTS, "ada") == 3
        await rates.forgive(LOGIN, "ada")
        assert await spend(rates, LOGIN, 50) == 3
        assert said(caplog) == [AWAY]


async def test_it_goes_and_comes_back_and_the_log_says_so_once(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with patient(redis.url, clock) as counters:
        rates = Rates(KEY, shared=counters)
        assert await spend(rates, POINTS, 20) == 3

        redis.kill()
        for _ in range(3):
            assert await spend(rates, POINTS, 20) == 20
            clock.now += RETRY_S
        assert await spend(rates, LOGIN, 20) == 3
        assert said(caplog) == [AWAY]

        redis.start()
        # Until somebody looks for it, it counts as away.
        assert await spend(rates, POINTS, 20) == 20
        clock.now += RETRY_S
        assert await spend(rates, POINTS, 1) == 1
        assert await spend(rates, POINTS, 20) == 2
        assert said(caplog) == [AWAY, BACK]

        redis.kill()
        assert await spend(rates, POINTS, 20) == 20
        assert said(caplog) == [AWAY, BACK, AWAY]


async def test_nobody_waits_for_a_redis_that_hangs(redis: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    async with open_shared(redis.url, clock=clock) as counters:
        rates = Rates(KEY, shared=counters)
        assert await spend(rates, LOGIN, 1) == 1
        redis.freeze()
        try:
            began = time.monotonic()
            assert await spend(rates, POINTS, CROWD) == CROWD
            first_s = time.monotonic() - began
            began = time.monotonic()
            assert await spend(rates, POINTS, CROWD) == CROWD
            assert await spend(rates, LOGIN, 10) == 3
            later_s = time.monotonic() - began
            clock.now += RETRY_S
            began = time.monotonic()
            assert await spend(rates, POINTS, CROWD) == CROWD
            looking_s = time.monotonic() - began
        finally:
            redis.thaw()

        # A tenth of a second, and what a busy machine adds to it; ten seconds if they all waited, 16 at a time.
        assert first_s < 5
        assert later_s < 5
        assert looking_s < 5
        assert said(caplog) == [AWAY]
        clock.now += RETRY_S
        assert await spend(rates, POINTS, 1) == 1
        assert said(caplog) == [AWAY, BACK]


async def test_a_restart_between_two_requests_is_no_outage(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async with patient(redis.url) as counters:
        rates = Rates(KEY, shared=counters)
        assert await spend(rates, POINTS, 20) == 3

        redis.kill()
        redis.start()

        # It has forgotten the numbers and the scripts, and the connections are dead.
        assert [await spend(rates, POINTS, 1) for _ in range(5)] == [1, 1, 1, 0, 0]
        assert said(caplog) == []


async def test_a_redis_that_lets_nobody_in_is_away_and_no_password_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guarded = RedisProcess(tmp_path, password="open sesame")
    guarded.start()
    try:
        for password in ("wrong-password", "open%20sesame"):
            url = guarded.url.replace("redis://", f"redis://:{password}@")
            async with patient(url) as counters:
                allowed = await spend(Rates(KEY, shared=counters), POINTS, 20)
            assert allowed == (20 if password == "wrong-password" else 3)
    finally:
        guarded.kill()
    assert said(caplog) == [AWAY]
    assert "password" not in caplog.text
    assert "sesame" not in caplog.text


@pytest.mark.parametrize("url", ["http://:hunter2@127.0.0.1:6379", "hunter2", "redis://127.0.0.1:hunter2/0"])
async def test_what_is_no_url_of_a_redis_is_refused_with_what_one_looks_like(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis://:password@host:6379/0") as refused:
        async with open_rates(Settings(data_dir=tmp_path, redis_url=url), KEY):
            pytest.fail("It was opened.")

    assert "hunter2" not in refused.value.message


async def test_switched_off_it_needs_no_redis(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(data_dir=tmp_path, redis_url=RedisProcess(tmp_path).url, rate_limits=Switch.OFF)
    async with open_rates(settings, KEY) as rates:
        assert await spend(rates, LOGIN, 20) == 20
    assert said(caplog) == []


@pytest.mark.parametrize("missing", ["limits", "redis"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    program = f"""
import asyncio, sys
sys.modules[{missing!r}] = None
from kyrochat.errors import ConfigurationError
from kyrochat.rates.shared import open_shared

async def main():
    async with open_shared("redis://127.0.0.1:1/0"):
        pass

try:
    asyncio.run(main())
except ConfigurationError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "pip install 'kyrochat[redis]'" in done.stdout


def test_the_client_is_not_even_imported_without_its_url() -> None:
    program = "import sys, kyrochat.rates.service; print(sorted({'limits', 'redis'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
