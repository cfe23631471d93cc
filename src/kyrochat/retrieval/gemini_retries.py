"""When a call to Gemini is repeated. The SDK's own retries ignore RetryInfo, so they stay off."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from kyrochat.retrieval.gemini_errors import Failure, failure_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and after which pauses. `sleep` and `jitter` (0 to 1) are there for tests."""

    attempts: int = 3
    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0
    longest_asked_pause_s: float = 20.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    async def run(self, attempt: Callable[[], Awaitable[T]], *, untouched: Callable[[], bool] = lambda: True) -> T:
        """Return what `attempt` returns, repeating it while that helps and `untouched()` holds.

        Raises:
            ProviderUnavailable: the last attempt's failure.
        """
        number = 0
        while True:
            number += 1
            try:
                return await attempt()
            except Exception as error:
                failure = failure_of(error)
            # Raised out here, so that no traceback carries the SDK's error and with it perhaps the key.
            pause_s = self._pause_s(failure, number)
            if pause_s is None or number >= self.attempts or not untouched():
                raise failure.problem
            await self.sleep(pause_s)

    def _pause_s(self, failure: Failure, number: int) -> float | None:
        """Return the seconds before the next attempt; None if there should be none.

        Sooner than the server asked for would only fail again, so a longer wait than anybody has time for ends it.
        """
        if not failure.worth_repeating:
            return None
        longest_s = min(self.first_pause_s * 2.0 ** (number - 1), self.longest_pause_s)
        if failure.wait_s is None:
            return longest_s * (0.5 + self.jitter() / 2)
        if failure.wait_s > self.longest_asked_pause_s:
            return None
        return failure.wait_s + self.first_pause_s * self.jitter()
