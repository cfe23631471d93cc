"""What the server shows beside `/graphql`: GraphiQL, pages that links lead to, the schema, its health."""

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from kyrochat.graphql.link_pages import link_page_routes
from kyrochat.graphql.schema import schema_text

GRAPHIQL_DIR = Path(__file__).parent / "static" / "graphiql"
CHECK_TIMEOUT_S = 2.0
# Monaco sets styles on elements, hence 'unsafe-inline' for those; nothing comes from anywhere else.
GRAPHIQL_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'self'; font-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

Check = Callable[[], Awaitable[None]]


class GraphiQLFiles:
    """The built page. Names of assets hold a hash of their content, so browsers may keep them for ever."""

    def __init__(self) -> None:
        # Registries of Windows machines may say otherwise, and browsers then refuse module scripts.
        mimetypes.add_type("text/javascript", ".js")
        self._files = StaticFiles(directory=GRAPHIQL_DIR, html=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file with its headers."""
        is_asset = "/assets/" in scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_asset else "no-cache"
                headers["Content-Security-Policy"] = GRAPHIQL_POLICY
            await send(message)

        await self._files(scope, receive, send_with_headers)


def page_routes(
    *, graphiql: bool, schema: bool, is_draining: Callable[[], bool], checks: Mapping[str, Check]
) -> list[BaseRoute]:
    """Return the routes. Each check of `/readyz` passes when it raises nothing within `CHECK_TIMEOUT_S`."""
    text = schema_text() if schema else ""

    async def livez(request: Request) -> Response:
        del request
        return PlainTextResponse("draining\n", 503) if is_draining() else PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        del request
        results = {name: await _passes(check) for name, check in checks.items()}
        ready = all(result == "ok" for result in results.values()) and not is_draining()
        return JSONResponse({"ready": ready, "checks": results}, 200 if ready else 503)

    async def schema_page(request: Request) -> Response:
        del request
        return PlainTextResponse(text, media_type="application/graphql")

    async def home(request: Request) -> Response:
        del request
        # Relative, so that it holds behind a proxy that adds a prefix.
        return RedirectResponse("graphiql/", 307)

    routes: list[BaseRoute] = [Route("/livez", livez), Route("/readyz", readyz)]
    if schema:
        routes.append(Route("/schema.graphql", schema_page))
    routes += link_page_routes()
    if graphiql:
        routes += [Route("/", home), Route("/graphiql", home), Mount("/graphiql", GraphiQLFiles())]
    return routes


async def _passes(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Exception as error:  # whatever it is, the name says enough, and nothing secret
        return f"failed: {type(error).__name__}"
    return "ok"
