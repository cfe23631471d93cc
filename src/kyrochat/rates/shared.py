"""Counting in Redis, for all processes together. The SDKs are imported by `open_shared`, when Redis is set up."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from kyrochat.errors import ConfigurationError
from kyrochat.rates.counters import CountersAway
from kyrochat.rates.limits import Limit
from kyrochat.rates.window import Window

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

T = TypeVar("T")

# Longer than this no request waits for Redis, which answers in less than one millisecond when it is well.
TIMEOUT_S = 0.1
# The time is waited in so many pieces. When it is our own event loop that is late, an answer that lies there is still
# read: otherwise whoever keeps the loop busy would switch off the limits.
PIECES = 10
# How often a request finds out whether Redis is back; all others do not ask meanwhile.
RETRY_S = 1.0
MAX_CONNECTIONS = 16
KEY_PREFIX = "kyrochat-rates"

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_shared(
    url: str, *, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator["SharedCounters", None]:
    """Count in the Redis at `url` meanwhile; it need not be there yet.

    Raises:
        ConfigurationError: the client is not installed, or the URL is none.
    """
    try:
        from limits.aio.storage import RedisStorage
        from redis.asyncio import ConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ImportError as error:
        raise ConfigurationError(
            "KYROCHAT_REDIS_URL is set, but the Redis client is not installed. Run: pip install 'kyrochat[redis]'"
        ) from error
    try:
        pool = ConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            # Once, at once: for a connection that Redis has closed in the meantime. The default waits for seconds.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise ConfigurationError(
            "KYROCHAT_REDIS_URL is no URL of a Redis. It looks like redis://:password@host:6379/0; "
            "rediss:// (TLS) and unix:// work too."
        ) from error
    try:
        # Options are typed as plain values, and a pool is one of them all the same.
        options: dict[str, Any] = {"connection_pool": pool}
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, **options)
        yield SharedCounters(storage, (RedisError, OSError, TimeoutError), timeout_s, clock)
    finally:
        await pool.aclose()


@dataclass(slots=True, eq=False)
class SharedCounters:
    """Counts in Redis. While it is away every call fails at once, but for one a second, which looks for it."""

    storage: "RedisStorage"
    failures: tuple[type[Exception], ...]
    timeout_s: float = TIMEOUT_S
    clock: Callable[[], float] = time.monotonic
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONNECTIONS))
    _is_away: bool = False
    _next_try_at: float = 0.0

    async def take(self, key: str, limit: Limit, cost: int) -> bool:
        """Count, in one step for all processes."""
        period_s = limit.period_s
        return await self._ask(lambda: self.storage.acquire_sliding_window_entry(key, limit.amount, period_s, cost))

    async def window(self, key: str, limit: Limit) -> Window:
        """Look."""
        found = await self._ask(lambda: self.storage.get_sliding_window(key, limit.period_s))
        previous, previous_left_s, current, current_left_s = found
        # The current window is kept for one period more, as the one before.
        return Window(previous, previous_left_s, current, max(0.0, current_left_s - limit.period_s))

    async def forget(self, key: str, limit: Limit) -> None:
        """Forget."""
        await self._ask(lambda: self.storage.clear_sliding_window(key, limit.period_s))

    async def _ask(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # As many at once as there are connections: who waits for one must not take that for an outage.
        async with self._gate:
            if self._is_away:
                if self.clock() < self._next_try_at:
                    raise CountersAway
                self._next_try_at = self.clock() + RETRY_S
            try:
                answer = await _within(self.timeout_s, call())
            except self.failures as error:
                self._note_outage(error)
                raise CountersAway from error
        if self._is_away:
            self._is_away = False
            log.warning("Redis is back: rate limits are shared between processes again")
        return answer

    def _note_outage(self, error: Exception) -> None:
        self._next_try_at = self.clock() + RETRY_S
        if not self._is_away:
            self._is_away = True
            log.warning(
                "Redis does not answer (%s): sign-ins are limited by each process alone, the other limits let pass",
                type(error).__name__,
            )


async def _within(timeout_s: float, asked: Coroutine[Any, Any, T]) -> T:
    task = asyncio.create_task(asked)
    # Whatever comes of it when it is too late.
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        for _ in range(PIECES):
            await asyncio.wait({task}, timeout=timeout_s / PIECES)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            # Until its connection is closed, which waits for nobody, and is there for the next.
            await asyncio.wait({task}, timeout=timeout_s)
