"""Requests that are turned away before GraphQL sees them, and the JSON they get."""

import json
from collections.abc import Mapping

import orjson
from starlette.responses import Response

JSON_MEDIA_TYPE = "application/json"
# Nothing but JSON: what a scalar of ours forgot to serialise shall be found, and not guessed.
STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


class RequestRefused(Exception):
    """The request cannot be run as it was sent; `message` tells the client what to change.

    `status` is the HTTP status, `code` the machine-readable reason in `extensions.code`.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def as_error(self) -> dict[str, object]:
        """Return the one entry of `errors` that says what is wrong."""
        return {"message": self.message, "extensions": {"code": self.code}}


class IllFormed(RequestRefused):
    """The parameters have the wrong shape: a number for a query, an array for the whole body."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "BAD_USER_INPUT", message)


class UnusableText(RequestRefused):
    """The shape is right, but a string in it cannot be run or stored."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "BAD_USER_INPUT", message)


class BodyRefused(RequestRefused):
    """The body was cut off while it still came in; only `BodyLimit` can end such a connection well."""


def encode_json(value: object) -> str:
    """Return `value` as one line of JSON that always survives encoding to UTF-8.

    Raises:
        TypeError: it holds something that is no JSON.
        ValueError: it refers to itself.
    """
    try:
        return orjson.dumps(value, option=STRICT).decode()
    except TypeError:
        # Half of a surrogate pair, from a provider that cut an emoji in two, or a number beyond 64 bits: as escapes and
        # digits they are valid JSON all the same. What is no JSON at all fails here, too.
        return json.dumps(value, separators=(",", ":"))


def json_response(
    payload: object,
    *,
    status: int = 200,
    media_type: str = JSON_MEDIA_TYPE,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return `payload` as a response; `Vary: Accept` since the media type was negotiated."""
    content_type = f"{media_type}; charset=utf-8"
    return Response(
        encode_json(payload),
        status_code=status,
        headers={"Content-Type": content_type, "Vary": "Accept", **(headers or {})},
    )


def refusal_response(refused: RequestRefused, media_type: str = JSON_MEDIA_TYPE) -> Response:
    """Return the GraphQL error that tells why a request was refused."""
    return json_response(
        {"errors": [refused.as_error()]},
        status=refused.status,
        media_type=media_type,
        headers=refused.headers,
    )
