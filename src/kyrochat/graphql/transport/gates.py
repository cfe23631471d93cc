"""What every request passes before it gets to its route, and every answer on its way out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from kyrochat.graphql.transport.client_address import Network
from kyrochat.graphql.transport.hosts import HostGate, Hosts
from kyrochat.graphql.transport.response_headers import ResponseHeaders

ALLOWED_HEADERS = ("authorization", "content-type", "graphql-require-preflight", "apollo-require-preflight")


@dataclass(frozen=True, slots=True)
class ShortWay:
    """ASGI app: one path goes straight to its own app, and all others to the router.

    Looking for a route, and the router's ways with errors, cost more than a small query does; and nearly all requests
    are for this one path.
    """

    path: str
    app: ASGIApp
    router: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        places = (self.path, scope.get("root_path", "") + self.path)
        if scope["type"] in ("http", "websocket") and scope["path"] in places:
            scope["route"] = self  # as the router notes it
            await self.app(scope, receive, send)
        else:
            await self.router(scope, receive, send)


def gated(app: ASGIApp, origins: Collection[str], hosts: Hosts, trusted_proxies: Sequence[Network]) -> ASGIApp:
    """Return the app behind its gates: headers around all, then names, then what pages of `origins` may do."""
    if origins:
        app = CORSMiddleware(
            app,
            allow_origins=sorted(origins),
            allow_methods=["GET", "POST"],
            allow_headers=ALLOWED_HEADERS,
            expose_headers=["retry-after"],
            max_age=600,
        )
    return ResponseHeaders(HostGate(app, hosts), trusted_proxies)
