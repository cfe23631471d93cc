"""`/mcp`: who comes in, and when the SDK is loaded."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.outage import is_outage
from kyrochat.errors import Forbidden, KyroError, Overloaded, Unauthenticated
from kyrochat.mcp_api.tools import VIEWER, ToolServices

RETRY_AFTER_S = 5

ViewerOf = Callable[[Request], Awaitable[Viewer]]


class MCPEndpoint:
    """An ASGI app. The SDK is imported, in a thread, with the first request that is let in."""

    def __init__(self, services: Callable[[], ToolServices], viewer_of: ViewerOf, version: str) -> None:
        self._services, self._viewer_of, self._version = services, viewer_of, version
        self._opening = asyncio.Lock()
        self._manager: Any = None
        self._end = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def route(self) -> Route:
        """Return the route, which says what to install where the SDK is not there."""
        return Route("/mcp", self if is_installed() else _not_installed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let whoever has credentials in, and answer."""
        request = Request(scope, receive)
        if request.method != "POST":
            # Without sessions there is nothing to listen to, and nothing to end: the SDK would hold a stream open.
            await JSONResponse({"error": "MCP is served over POST here."}, 405, {"Allow": "POST"})(scope, receive, send)
            return
        try:
            if "authorization" not in request.headers:
                raise Unauthenticated("Send `Authorization: Bearer <API key>`; `createApiKey` makes one.")
            scope[VIEWER] = await self._viewer_of(request)
        except Exception as error:
            refusal = _refusal(error)
            if refusal is None:
                raise
            await refusal(scope, receive, send)
            return
        with suppress(ClientDisconnect):
            await (await self._opened()).handle_request(scope, _whole(receive), send)

    async def close(self) -> None:
        """End what runs for requests; there are none any more."""
        self._end.set()
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _opened(self) -> Any:
        async with self._opening:
            if self._manager is None:
                protocol = await asyncio.to_thread(import_module, "kyrochat.mcp_api.protocol")
                manager, is_ready = protocol.open_manager(self._services, self._version), asyncio.Event()
                # Its tasks belong to one that lives as long as the server: a request ends before them.
                self._running = asyncio.create_task(self._run(manager, is_ready), name="mcp")
                await is_ready.wait()
                self._manager = manager
        return self._manager

    async def _run(self, manager: Any, is_ready: asyncio.Event) -> None:
        async with manager.run():
            is_ready.set()
            await self._end.wait()


def is_installed() -> bool:
    """Say whether the extra `kyrochat[mcp]` is there."""
    return find_spec("mcp") is not None


async def _not_installed(request: Request) -> Response:
    del request
    return JSONResponse({"error": "This server has no MCP: install it with `pip install 'kyrochat[mcp]'`."}, 501)


def _whole(receive: Receive) -> Receive:
    """Return what raises ClientDisconnect for who leaves before his request is whole: to the SDK it were a fault."""
    more_body = True

    async def received() -> Message:
        nonlocal more_body
        message = await receive()
        if more_body and message["type"] == "http.disconnect":
            raise ClientDisconnect
        more_body = message.get("more_body", False)
        return message

    return received


def _refusal(error: Exception) -> Response | None:
    """Return what says why nobody is let in; None for what nobody foresaw."""
    if is_outage(error) or isinstance(error, Overloaded):
        return JSONResponse({"error": Overloaded().message}, 503, {"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(error, Forbidden):
        return JSONResponse({"error": error.message}, 403)
    if isinstance(error, KyroError):
        return JSONResponse({"error": error.message}, 401, {"WWW-Authenticate": "Bearer"})
    return None
