"""Sends one request through the guarded network, and says in plain words what broke it."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore2

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.body import damaged
from kyrochat.outbound.network import GuardedNetwork

# What `broken` understands.
BROKEN = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request."""

    method: str
    address: WebAddress
    headers: Sequence[tuple[str, str]]
    body: bytes | None = None


@asynccontextmanager
async def sent(
    wanted: Wanted, network: GuardedNetwork, ssl_context: ssl.SSLContext, connect_s: float
) -> AsyncGenerator[httpcore2.Response, None]:
    """Send a request and give the head of its answer; redirects are not followed."""
    address = wanted.address
    async with (
        # One pool a request: no connection is taken up again that was made for somebody else.
        httpcore2.AsyncConnectionPool(ssl_context=ssl_context, max_connections=1, network_backend=network) as pool,
        pool.stream(
            wanted.method,
            # From its parts, never from text: nobody parses an address twice.
            httpcore2.URL(scheme=address.scheme, host=address.host, port=address.port, target=address.target),
            headers=list(wanted.headers),
            content=wanted.body,
            extensions={"timeout": {"connect": connect_s}},
        ) as response,
    ):
        yield response


def broken(error: Exception) -> FetchFailed:
    """Return the failure that an error of the transport is."""
    if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
        return FetchFailed("The site's certificate is not valid for this address, so nobody knows who answers there.")
    if isinstance(error, httpcore2.ConnectTimeout | httpcore2.ConnectError):
        return FetchFailed("The site cannot be reached. Check the address, or try again later.", retryable=True)
    if isinstance(error, httpcore2.ProtocolError):
        return FetchFailed("The site does not answer as a web server does, or not completely.", retryable=True)
    return damaged()
