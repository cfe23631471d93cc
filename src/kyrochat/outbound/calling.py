"""Calls a server of somebody else's for a program: once, bounded, at a public address, and nowhere else."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpcore2

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.deny_table import AddressRules
from kyrochat.outbound.fetching import PRODUCT
from kyrochat.outbound.network import GuardedNetwork, Meter, Resolver, TooMuch, system_addresses
from kyrochat.outbound.sending import BROKEN, Wanted, broken, sent

MAX_ANSWER_BYTES = 64 * 1024
_HEADERS_BYTES = 64 * 1024
CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said; `media_type` is what it claims, and '' where it claims nothing."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes calls. The collaborators are those of `Fetcher`."""

    user_agent: str
    rules: AddressRules
    resolve: Resolver = system_addresses
    network: httpcore2.AsyncNetworkBackend = field(default_factory=httpcore2.AnyIOBackend)
    ssl_context: ssl.SSLContext = field(default_factory=httpcore2.default_ssl_context)

    async def call(
        self,
        method: str,
        address: WebAddress,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        *,
        limit_s: float,
    ) -> Answer:
        """Return the answer, whatever its status. A redirect is an answer, and is not followed.

        Raises:
            FetchFailed: there is none; the message says why.
        """
        own = [("Host", address.authority), ("User-Agent", self.user_agent), ("Connection", "close")]
        own += [("Accept", "application/json, text/*;q=0.9"), ("Accept-Encoding", "identity")]
        own += [] if body is None else [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        taken = {name.lower() for name, _ in headers}
        wanted = Wanted(method, address, [*(each for each in own if each[0].lower() not in taken), *headers], body)
        meter = Meter(MAX_ANSWER_BYTES + _HEADERS_BYTES)
        network = GuardedNetwork(self.rules, self.resolve, meter, self.network)
        try:
            async with asyncio.timeout(limit_s), sent(wanted, network, self.ssl_context, CONNECT_S) as response:
                return await _read(response)
        except TimeoutError:
            raise FetchFailed(f"The server took more than {limit_s:g} s.", retryable=True) from None
        except TooMuch:
            raise _too_much() from None
        except BROKEN as error:
            raise broken(error) from error


def tool_agent(version: str) -> str:
    """Return who we say we are to tools."""
    return f"{PRODUCT}/{version} (a tool of a bot)"


async def _read(response: httpcore2.Response) -> Answer:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise FetchFailed("The server packs its answer in a way that was not asked for.")
    body = bytearray()
    async for piece in response.aiter_stream():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise _too_much()
    return Answer(response.status, headers.get("content-type", "").partition(";")[0].strip().lower(), bytes(body))


def _too_much() -> FetchFailed:
    return FetchFailed(f"The server's answer has more than {MAX_ANSWER_BYTES // 1024} KiB.")
