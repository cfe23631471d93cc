"""How long a provider is waited for."""

from dataclasses import dataclass

import httpx2


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a request fails: without a free connection, without a handshake, without a byte."""

    pool_s: float = 5.0
    connect_s: float = 5.0
    silence_s: float = 60.0

    def for_transport(self) -> httpx2.Timeout:
        """Return them as the transport wants them."""
        return httpx2.Timeout(self.silence_s, connect=self.connect_s, pool=self.pool_s)
