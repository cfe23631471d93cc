"""Servers on loopback that say exactly what a test tells them to, and names that lead where a test wants.

Tests take 127.0.0.2 for the public Internet, by admitting it, and all other addresses for what they are.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import httpcore2

from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.deny_table import AddressRules
from kyrochat.outbound.fetching import Fetcher, Limits
from kyrochat.outbound.network import Resolver

PUBLIC = "127.0.0.2"
RULES = AddressRules((ip_network(f"{PUBLIC}/32"),))
# Reading all certificates of the machine takes 30 ms.
TRUSTING_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
AGENT = "KyroChat/1.0 (test)"

Talk = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    target: str
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes = b""


@dataclass
class Wire:
    """A running server: what it was asked, and how many came without asking anything."""

    port: int
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def address(self, target: str = "/", host: str = "site.example", scheme: str = "http") -> WebAddress:
        return WebAddress(scheme, host, self.port, target)

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.requests]


@asynccontextmanager
async def listening(talk: Talk, host: str = PUBLIC, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Wire, None]:
    """Serve; at the end every conversation is cut off."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, TimeoutError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in headers.items()}
                method, target, _ = head[0].split(" ")
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(target, headers, method, body)
                wire.requests.append(request)
                await talk(request, writer)
                await writer.drain()
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    wire = Wire(server.sockets[0].getsockname()[1])
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """An ordinary answer; names of headers are written with underscores."""
    fields = {"Content-Length": str(len(body)), "Content-Type": "text/html"}
    fields |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def saying(data: bytes) -> Talk:
    """The same bytes to everybody."""
    return by_target({}, data)


def by_target(answers: Mapping[str, bytes], default: bytes | None = None) -> Talk:
    """An answer for each path and query; 404 for all else."""

    async def talk(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.get(request.target, answer(status="404 Not Found") if default is None else default))

    return talk


@dataclass
class Names:
    """A resolver with a script: each name's answers, one for each time that it is asked; the last one stays."""

    script: Mapping[str, Sequence[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.script:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        turn = self.asked.count(host) - 1
        answers = self.script[host]
        return answers[min(turn, len(answers) - 1)]


def names(**hosts: str) -> Names:
    """Names with one address each; dots are written as underscores. `site.example` is always there."""
    script = {"site.example": [[PUBLIC]]} | {name.replace("_", "."): [[address]] for name, address in hosts.items()}
    return Names(script)


@dataclass
class RecordingNetwork(httpcore2.AsyncNetworkBackend):
    """Goes nowhere and notes where it would have gone; or, given a `detour`, connects to that instead."""

    detour: str | None = None
    connected: list[tuple[str, int]] = field(default_factory=list)
    network: httpcore2.AsyncNetworkBackend = field(default_factory=httpcore2.AnyIOBackend)
    port: int = 0

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.connected.append((host, port))
        if self.detour is None:
            raise httpcore2.ConnectError
        return await self.network.connect_tcp(self.detour, self.port, timeout, socket_options=socket_options)


def fetcher(resolve: Resolver | None = None, rules: AddressRules = RULES, **collaborators: Any) -> Fetcher:
    return Fetcher(AGENT, rules, resolve=resolve or names(), **{"ssl_context": TRUSTING_NOBODY} | collaborators)


def quick(**limits: Any) -> Limits:
    """Limits for tests that run into them."""
    return Limits(**{"connect_s": 0.5, "total_s": 1.0, "max_bytes": 1 << 20} | limits)
