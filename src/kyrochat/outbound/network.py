"""The only way out: names are resolved once, all their addresses are checked, and a checked one is connected to.

TLS still verifies the name. Since nothing is resolved twice, there is no moment in which a name could change its
mind, and since each redirect makes a connection of its own, each passes here.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import httpcore2

from kyrochat.errors import FetchFailed
from kyrochat.outbound.deny_table import AddressRules, IPAddress, unmapped

# A name's addresses as text, in the order of preference; raises OSError when there are none.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# Of a name with many addresses, more would only share the time.
TRIED_ADDRESSES = 4


class TooMuch(Exception):
    """The server has sent more bytes than it may."""


async def system_addresses(host: str, port: int) -> Sequence[str]:
    """Return what the machine's resolver says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(entry[4][0]) for entry in found]


@dataclass(slots=True)
class Meter:
    """Counts what comes in, whatever it is: headers, framing, bodies."""

    left: int

    def count(self, data: bytes) -> bytes:
        """Return the data if the server may send that much.

        Raises:
            TooMuch: it may not.
        """
        self.left -= len(data)
        if self.left < 0:
            raise TooMuch
        return data


@dataclass(frozen=True, slots=True)
class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to what the rules admit. `meter` is shared by all connections of one fetch."""

    rules: AddressRules
    resolve: Resolver
    meter: Meter
    network: httpcore2.AsyncNetworkBackend = field(default_factory=httpcore2.AnyIOBackend)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a checked address of `host`, within `timeout` seconds for all that are tried.

        Raises:
            FetchFailed: the host does not exist, or has an address that is not for the public.
        """
        addresses = await self._checked_addresses(host, port)
        each_s = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, each_s, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._connect(addresses[-1], port, each_s, socket_options)

    async def _checked_addresses(self, host: str, port: int) -> list[IPAddress]:
        try:
            literal: IPAddress | None = ip_address(host)
        except ValueError:
            literal = None
        found = [literal] if literal is not None else await self._resolved(host, port)
        # All of them, not only the one that is taken: a name with a private address among public ones is a trap.
        if not all(self.rules.admits(address, port) for address in found):
            raise _not_public()
        plain = dict.fromkeys(unmapped(address) for address in found)
        return sorted(plain, key=lambda address: address.version)[:TRIED_ADDRESSES]

    async def _resolved(self, host: str, port: int) -> list[IPAddress]:
        try:
            found = [ip_address(text) for text in await self.resolve(host, port)]
        except socket.gaierror as error:
            away = error.errno == socket.EAI_AGAIN
            raise FetchFailed(
                "The host's name cannot be looked up at the moment. Try again later."
                if away
                else "There is no host of this name. Check how it is spelt.",
                retryable=away,
            ) from error
        except (OSError, ValueError) as error:
            raise FetchFailed("The host's name cannot be looked up. Try again later.", retryable=True) from error
        if not found:
            raise FetchFailed("There is no host of this name. Check how it is spelt.")
        return found

    async def _connect(
        self,
        address: IPAddress,
        port: int,
        timeout_s: float | None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.AsyncNetworkStream:
        stream = await self.network.connect_tcp(str(address), port, timeout_s, socket_options=socket_options)
        here, there = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
        # A connection from an address to itself has not left the machine, however public the address is: what
        # listens there may trust whoever is inside.
        if here[0] == there[0] and not self.rules.is_allowed(address):
            await stream.aclose()
            raise _not_public()
        return _MeteredStream(stream, self.meter)


def _not_public() -> FetchFailed:
    return FetchFailed(
        "The address leads into a private network, to this machine, or to a port other than 80 and 443. "
        "Only public pages are fetched; the server's operator can admit networks with KYROCHAT_FETCH_ALLOW_CIDRS."
    )


@dataclass(frozen=True, slots=True)
class _MeteredStream(httpcore2.AsyncNetworkStream):
    stream: httpcore2.AsyncNetworkStream
    meter: Meter

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.meter.count(await self.stream.read(max_bytes, timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self.stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self.stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            encrypted = await self.stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:  # cancelled in the middle of a handshake, it would stay open
            await self.stream.aclose()
            raise
        return _MeteredStream(encrypted, self.meter)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)
