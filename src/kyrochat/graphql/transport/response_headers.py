"""Headers that keep browsers from doing with an answer what it was not meant for."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
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

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in DEFAULTS.items():
                    headers.setdefault(name, value)
                if came_by_tls(HTTPConnection(scope), self.trusted_proxies):
                    headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
            await send(message)

        await self.app(scope, receive, send_with_headers)
