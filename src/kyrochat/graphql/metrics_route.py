"""`/metrics`: what the process counts and how it stands, for Prometheus; and the counting of requests."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kyrochat.graphql.transport.client_address import is_loopback
from kyrochat.metrics import REQUESTS

PATH = "/metrics"
# Whoever scrapes gives up after ten seconds, and shall have the rest when the database does not answer.
READ_TIMEOUT_S = 2.0
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")

log = logging.getLogger(__name__)


def metrics_route(read: Callable[[], Awaitable[None]], token: str | None) -> Route:
    """Return the route. `read` sets the gauges; with a token only who shows it may see them, else this machine only."""

    async def metrics(request: Request) -> Response:
        if not _may_see(request, token):
            return _refusal(token)
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await read()
        except TimeoutError:
            log.warning("Metrics were shown without those of the database: it does not answer")
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Route(PATH, metrics, methods=["GET"])


def _refusal(token: str | None) -> Response:
    if token:
        say = "Send `Authorization: Bearer <KYROCHAT_METRICS_TOKEN>`.\n"
        return PlainTextResponse(say, 401, {"WWW-Authenticate": "Bearer"})
    say = "Only this machine may see them. For others, set KYROCHAT_METRICS_TOKEN and send it as a bearer token.\n"
    return PlainTextResponse(say, 403)


def _may_see(request: Request, token: str | None) -> bool:
    if token:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), token.encode())
    # Through a proxy on this machine everybody comes from it.
    is_forwarded = any(name in request.headers for name in FORWARDED)
    return not is_forwarded and is_loopback(request.client.host if request.client else None)


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """An ASGI app around another one that counts its requests; sockets have a gauge of their own."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = perf_counter(), "none"

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            # The route's own path: what clients ask for may be anything.
            route = getattr(scope.get("route"), "path", "other")
            _series(route, status).observe(perf_counter() - began)


# Finding it anew costs more than the counting.
_series = lru_cache(maxsize=256)(REQUESTS.labels)
