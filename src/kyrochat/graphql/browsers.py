"""What a browser says of the page that a request comes from."""

from starlette.requests import HTTPConnection
from strawberry.http.websocket_origin import is_same_origin

from kyrochat.accounts.viewer import Page


def page_of(connection: HTTPConnection) -> Page | None:
    """Return the page that a browser is on; clients that are no browsers say nothing of any."""
    origin = connection.headers.get("origin")
    return None if origin is None else Page(origin, is_same_origin(origin, connection.headers.get("host")))
