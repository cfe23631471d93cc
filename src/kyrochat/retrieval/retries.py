"""When a call to a provider is repeated. The SDKs' own retries stay off: one ignores what the server asks for."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from kyrochat.errors import ProviderUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt.

    `worth_repeating` allows another attempt of the same request, not before `wait_s` seconds if that is set.
    """

    problem: ProviderUnavailable
    worth_repeating: bool = False
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and after which pauses. `sleep` and `jitter` (0 to 1) are there for tests."""

    attempts: int = 3
    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0
    longest_asked_pause_s: float = 20.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        failure_of: Callable[[Exception], Failure],
        *,
        untouched: Callable[[], bool] = lambda: True,
    ) -> T:
        """Return what `attempt` returns, repeating it while that helps and `untouched()` holds.

        `failure_of` says what the exceptions of the provider's SDK mean.

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
