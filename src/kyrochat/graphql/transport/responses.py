"""What comes of an operation, as an HTTP response."""

from collections.abc import Mapping
from math import ceil
from typing import cast

from starlette.responses import Response
from strawberry.types import ExecutionResult

from kyrochat.graphql.transport.masking import (
    INTERNAL,
    is_request_error,
    new_request_id,
    present_exception,
    present_result,
)
from kyrochat.graphql.transport.negotiation import RESULT_MEDIA_TYPE
from kyrochat.graphql.transport.refusals import json_response

# One of `errors`, as far as it matters here.
Entry = Mapping[str, Mapping[str, object]]

STATUS_OF_CODE = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "OVERLOADED": 503,
    "TIMED_OUT": 503,
    INTERNAL: 500,
}


def result_response(result: ExecutionResult, media_type: str) -> Response:
    """Return the answer of an operation that was run, or refused as a whole."""
    payload = present_result(result)
    status, headers = 200, {}
    if is_request_error(result):
        entry = cast("list[Entry]", payload["errors"])[0]
        headers = _retry_after(entry)
        # Clients that ask for plain JSON are older than status codes in GraphQL: many drop the body of a 400. What
        # says when to come again is for proxies and libraries, which all know it.
        if media_type == RESULT_MEDIA_TYPE or headers:
            status = _status_of(entry)
    try:
        return json_response(payload, status=status, media_type=media_type, headers=headers)
    except (TypeError, ValueError) as error:
        # A scalar of ours returned what JSON cannot carry.
        return failure_response(error, media_type)


def failure_response(error: Exception, media_type: str) -> Response:
    """Return the answer when an operation could not even begin: its context failed, or the transport has a bug."""
    entry = cast("Entry", present_exception(error, new_request_id()))
    status, headers = _status_of(entry), _retry_after(entry)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return json_response({"errors": [entry]}, status=status, media_type=media_type, headers=headers)


def _status_of(entry: Entry) -> int:
    return STATUS_OF_CODE.get(str(entry["extensions"]["code"]), 400)


def _retry_after(entry: Entry) -> dict[str, str]:
    seconds = entry["extensions"].get("retryAfterSeconds")
    return {"Retry-After": str(ceil(seconds))} if isinstance(seconds, int | float) else {}
