"""Headers that keep browsers from doing with an answer what it was not meant for."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kyrochat.graphql.transport.client_address import Network, came_by_tls

# For whatever has not said otherwise: an answer is data, for whoever asked, and now.
DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
# Without subdomains: they may be somebody else's.
STRICT_TRANSPORT = "max-age=31536000"

Header = tuple[bytes, bytes]


def _as_sent(headers: Mapping[str, str]) -> tuple[Header, ...]:
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


# As they are sent, once: without TLS, and with it.
_ALL = (_as_sent(DEFAULTS), _as_sent({**DEFAULTS, "Strict-Transport-Security": STRICT_TRANSPORT}))


@dataclass(frozen=True, slots=True)
class ResponseHeaders:
    """ASGI middleware: adds the headers to all answers, and asks for TLS where the client came by it."""

    app: ASGIApp
    trusted_proxies: Sequence[Network] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        by_tls = came_by_tls(HTTPConnection(scope), self.trusted_proxies)

        # No coroutine of its own: it returns that of `send`.
        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                given = message["headers"]
                said = {name for name, _ in given}
                # ASGI has names in lower case.
                message["headers"] = [*given, *(each for each in _ALL[by_tls] if each[0] not in said)]
            return send(message)

        await self.app(scope, receive, send_with_headers)
