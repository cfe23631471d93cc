"""Charging for what is limited."""

import ipaddress
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

from kyrochat.errors import RateLimited
from kyrochat.rates.counters import Counters, CountersAway, MemoryCounters
from kyrochat.rates.limits import Limit, WhenAway
from kyrochat.rates.shared import open_shared
from kyrochat.rates.window import used, wait_s
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings

T = TypeVar("T")

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Rates:
    """Charges limits, and refuses what goes beyond them.

    A subject is what a limit counts by: an address, an e-mail address, a user's id, or several of them together. It is
    stored as a hash under `key`, so that neither memory nor Redis tells who was here.
    """

    key: bytes = field(repr=False)
    local: Counters = field(default_factory=MemoryCounters)
    shared: Counters | None = None
    is_on: bool = True

    async def charge(self, limit: Limit, *subject: str, cost: int = 1) -> None:
        """Count `cost`, which is at most `limit.amount`. Call it before the expensive work.

        Raises:
            RateLimited: there is no room for it; nothing was counted.
        """

        async def take(counters: Counters, name: str) -> None:
            if not await counters.take(name, limit, cost):
                raise RateLimited(wait_s(limit, await counters.window(name, limit), cost))

        await self._ask(take, limit, subject)

    async def remaining(self, limit: Limit, *subject: str) -> int:
        """Return how much may still be charged right now."""

        async def look(counters: Counters, name: str) -> int:
            return max(0, limit.amount - used(limit, await counters.window(name, limit)))

        found = await self._ask(look, limit, subject)
        return limit.amount if found is None else found

    async def forgive(self, limit: Limit, *subject: str) -> None:
        """Forget what was charged."""
        await self._ask(lambda counters, name: counters.forget(name, limit), limit, subject)

    async def _ask(
        self, ask: Callable[[Counters, str], Awaitable[T]], limit: Limit, subject: tuple[str, ...]
    ) -> T | None:
        """Ask the first counters that answer; None when there are none."""
        if self.is_on:
            name = self._name(limit, subject)
            for counters in self._counters(limit):
                try:
                    return await ask(counters, name)
                except CountersAway:
                    continue
        return None

    def _counters(self, limit: Limit) -> tuple[Counters, ...]:
        """Return whom to ask, one when the one before is away; when all are, everything passes."""
        if self.shared is None:
            return (self.local,)
        return (self.shared, self.local) if limit.when_away is WhenAway.COUNT_HERE else (self.shared,)

    def _name(self, limit: Limit, subject: tuple[str, ...]) -> str:
        # Lengths first, so that ("ab", "c") is not ("a", "bc").
        words = "".join(f"{len(part)}:{part}" for part in subject)
        digest = blake2b(words.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, key=self.key)
        return f"{limit.name}:{digest.hexdigest()}"


# For commands that an operator runs, and for tests of other things.
NO_LIMITS = Rates(b"", is_on=False)


@asynccontextmanager
async def open_rates(settings: Settings, key: bytes) -> AsyncGenerator[Rates, None]:
    """Give the limits that the settings ask for. `key` has up to 64 bytes, the same ones in all processes.

    Raises:
        ConfigurationError: KYROCHAT_REDIS_URL cannot be used.
    """
    async with AsyncExitStack() as stack:
        is_on = settings.rate_limits is Switch.ON
        url = settings.redis_url
        shared = None
        if is_on and url is not None:
            shared = await stack.enter_async_context(open_shared(url.get_secret_value()))
        yield Rates(key, shared=shared, is_on=is_on)


@lru_cache(maxsize=1_024)
def network(address: str) -> str:
    """Return what counts as one client: an IPv4 address as it is, of an IPv6 address the /64 that a customer gets."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
