"""`GET /account/export`: the archive that an export link leads to."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kyrochat.accounts.export import PATH, ExportService
from kyrochat.errors import KyroError, Overloaded, RateLimited

RETRY_AFTER_S = 60
HEADERS = {
    # It is one person's, and the link is a secret for as long as it lasts.
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def export_route(exports: Callable[[], ExportService]) -> Route:
    """Return the route; the service is asked for with each request, since it is there only once the server runs."""

    async def export(request: Request) -> Response:
        try:
            viewer = await exports().viewer_of(request.query_params.get("token", ""))
            if request.method == "HEAD":
                head = Response(headers=HEADERS, media_type="application/zip")
                # How long it will be nobody knows, and it is not 0.
                del head.headers["Content-Length"]
                return head
            pieces = exports().archive(viewer)
            # What refuses the whole does so before its first piece, while there is still a status to tell it with.
            first = await anext(pieces)
        except KyroError as error:
            return _refusal(error)
        name = f"kyrochat-export-{datetime.now(UTC):%Y-%m-%d}.zip"
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_all(first, pieces), headers=headers, media_type="application/zip")

    return Route(PATH, export, methods=["GET"])


async def _all(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


def _refusal(error: KyroError) -> Response:
    headers = dict(HEADERS)
    match error:
        case RateLimited():
            status, headers["Retry-After"] = 429, str(max(1, round(error.retry_after_s)))
        case Overloaded():
            status, headers["Retry-After"] = 503, str(RETRY_AFTER_S)
        case _:
            status = 401
    return JSONResponse({"error": error.message}, status, headers)
