"""What every request passes before it gets to its route, and every answer on its way out."""

from collections.abc import Collection, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from kyrochat.graphql.transport.client_address import Network
from kyrochat.graphql.transport.hosts import HostGate, Hosts
from kyrochat.graphql.transport.response_headers import ResponseHeaders

ALLOWED_HEADERS = ("authorization", "content-type", "graphql-require-preflight", "apollo-require-preflight")


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
