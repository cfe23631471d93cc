"""Both kinds of counters, each with a way to let time pass without waiting for it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kyrochat.rates.counters import Counters, MemoryCounters
from kyrochat.rates.service import Rates
from kyrochat.rates.shared import open_shared
from tests.rates.redis_process import RedisProcess, needs_redis

KEY = b"a key of this test run"


@dataclass
class Clock:
    """A clock that stands still until it is told."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Scene:
    """Counters, and what lets time pass for them."""

    counters: Counters
    let_pass: Callable[[float], Awaitable[None]]

    @property
    def rates(self) -> Rates:
        return Rates(KEY, local=self.counters)


@pytest.fixture
def redis(tmp_path: Path) -> Generator[RedisProcess, None, None]:
    server = RedisProcess(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
async def scene(request: pytest.FixtureRequest) -> AsyncGenerator[Scene, None]:
    if request.param == "memory":
        clock = Clock()

        async def wind(seconds: float) -> None:
            clock.now += seconds

        yield Scene(MemoryCounters(clock=clock), wind)
        return
    server: RedisProcess = request.getfixturevalue("redis")
    async with open_shared(server.url, timeout_s=10) as counters:

        async def age(seconds: float) -> None:
            await age_keys(server.url, seconds)

        yield Scene(counters, age)


async def age_keys(url: str, seconds: float) -> None:
    """Take so much from the time that the keys in Redis have left: as if it had passed."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        for key in await client.keys("*"):
            left_ms = await client.pttl(key) - round(seconds * 1_000)
            await (client.pexpire(key, left_ms) if left_ms > 0 else client.delete(key))
