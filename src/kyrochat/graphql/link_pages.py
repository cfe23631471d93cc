"""The pages that links in mails and messages lead to: a new password, an invitation, a shared conversation.

A link's token stands after the #, so it never comes here: not into a log of ours, nor into one of a proxy.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from kyrochat.accounts import invitations, resets
from kyrochat.chat import sharing

STATIC_DIR = Path(__file__).parent / "static"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
# The address of each page, and the folder that it comes from.
LINK_PAGES = {
    resets.PAGE: STATIC_DIR / "reset-password",
    invitations.PAGE: STATIC_DIR / "invitation",
    sharing.PAGE: STATIC_DIR / "shared",
}
_DOCUMENT = re.compile(r"= `((?:query|mutation) .*?)`;", re.DOTALL)


def page_documents() -> list[str]:
    """Return the GraphQL documents that the pages send."""
    scripts = [(directory / "page.js").read_text("utf-8") for directory in LINK_PAGES.values()]
    return [document for script in scripts for document in _DOCUMENT.findall(script)]


def link_page_routes() -> list[BaseRoute]:
    """Return the routes: three files a page, and nothing else of their folders."""
    return [
        Route(f"{page}{path}", _file(file, media_type))
        for page, directory in LINK_PAGES.items()
        for path, file, media_type in (
            ("", directory / "index.html", "text/html"),
            ("/page.js", directory / "page.js", "text/javascript"),
            ("/page.css", STATIC_DIR / "link-page.css", "text/css"),
        )
    ]


def _file(path: Path, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        del request
        return FileResponse(path, media_type=media_type, headers=HEADERS)

    return serve
