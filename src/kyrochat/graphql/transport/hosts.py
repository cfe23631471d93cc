"""Which names the server answers to: a web page may give its own name the server's address, and then be same-origin."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from kyrochat.graphql.transport.refusals import RequestRefused, refusal_response

# Orchestrators and scrapers call these by address. They tell nothing that is worth a trick.
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names, in lower case and without ports; `.example.com` stands for all below. None: any name will do."""

    names: frozenset[str] | None

    @classmethod
    def of(cls, allowed: Iterable[str], *, is_loopback: bool) -> "Hosts":
        """Return the names of a setting, or else what suits where the server listens."""
        names = frozenset(_normalised(name) for name in allowed)
        if "*" in names or (not names and not is_loopback):
            return cls(None)
        return cls(names | _LOOPBACK_NAMES if is_loopback else names)

    def allow(self, name: str) -> bool:
        """Say whether the server answers to a name."""
        return _allow(self, name)

    def _allows(self, name: str) -> bool:
        if self.names is None or name in self.names:
            return True
        if any(allowed.startswith(".") and name.endswith(allowed) for allowed in self.names):
            return True
        return "localhost" in self.names and _is_loopback_address(name)


@lru_cache(maxsize=256)
def _allow(hosts: Hosts, name: str) -> bool:
    return hosts._allows(name)


_LOOPBACK_NAMES = frozenset({"localhost", ".localhost"})


@dataclass(frozen=True, slots=True)
class HostGate:
    """ASGI middleware: answers 400 to requests that name no host or several, and 421 to those that name another."""

    app: ASGIApp
    hosts: Hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, if it is for us."""
        refused = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refused is None:
            await self.app(scope, receive, send)
            return
        response = refusal_response(refused)
        if scope["type"] == "http":
            await response(scope, receive, send)
        elif "websocket.http.response" in scope.get("extensions", {}):
            await WebSocket(scope, receive, send).send_denial_response(response)
        else:
            await WebSocket(scope, receive, send).close(1008)

    def _refusal(self, scope: Scope) -> RequestRefused | None:
        if scope["path"] in PROBES:
            return None
        named = [value.decode("latin-1") for header, value in scope["headers"] if header == b"host"]
        if not named and scope["http_version"] == "1.0":
            return None
        matched = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if matched is None:
            return RequestRefused(400, "BAD_USER_INPUT", "Name one host in the header `Host`.", _CLOSE)
        if not self.hosts.allow(_normalised(matched[1])):
            return RequestRefused(
                421,
                "BAD_USER_INPUT",
                "This server does not answer to that host name. Its operator can add it to KYROCHAT_ALLOWED_HOSTS.",
                _CLOSE,
            )
        return None


# The body is not read.
_CLOSE = {"Connection": "close"}


def _normalised(name: str) -> str:
    return name.strip().lower().removeprefix("*").rstrip(".") if name.strip() != "*" else "*"


def _is_loopback_address(name: str) -> bool:
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
