"""Bound request bodies before anything parses them."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kyrochat.graphql.transport.begun import Begun
from kyrochat.graphql.transport.refusals import BodyRefused, refusal_response

KIB = 1024
MIB = 1024 * KIB
JSON_BODY_MAX_BYTES = 256 * KIB
UPLOAD_MAX_BYTES = 25 * MIB
# A body must come in at this rate on average, once the grace is over: a trickle cannot hold a connection.
BODY_MIN_BYTES_PER_S = KIB
BODY_GRACE_S = 30.0
# Names as ASGI has them, in lower case.
Headers = Mapping[bytes, bytes]
# After a refusal we go on reading for so long: closing at once makes TCP reset the connection, and the
# reset destroys the answer on its way to a client that is still sending.
LINGER_S = 5.0


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """ASGI middleware: answers 413, 415 or 408 with a GraphQL error instead of passing a bad body on.

    `json_max_bytes` bounds every body but multipart, whose files may have `upload_max_bytes` in all.
    The count is made while the body streams, so a missing or false Content-Length changes nothing.
    """

    app: ASGIApp
    json_max_bytes: int = JSON_BODY_MAX_BYTES
    upload_max_bytes: int = UPLOAD_MAX_BYTES
    grace_s: float = BODY_GRACE_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body metered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # The first one of each, as others read them.
        headers = dict(reversed(scope["headers"]))
        try:
            if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
                raise BodyRefused(415, "BAD_USER_INPUT", "Send the body as it is: compressed bodies are not read.")
            await self.app(scope, self._metered(headers, receive), send)
        except BodyRefused as refused:
            await _refuse(refused, headers, receive, send)

    def _metered(self, headers: Headers, receive: Receive) -> Receive:
        is_upload = headers.get(b"content-type", b"").lower().lstrip().startswith(b"multipart/form-data")
        # An upload's JSON parts get their own allowance, so that a file of exactly the maximum fits.
        max_bytes = self.json_max_bytes + (self.upload_max_bytes if is_upload else 0)
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and _exceeds(declared, max_bytes):
            raise self._too_large(is_upload)
        started_at = time.monotonic()
        received_bytes = 0
        more_body = True

        async def metered() -> Message:
            nonlocal received_bytes, more_body
            if not more_body:
                return await receive()
            begun = Begun(receive())
            if begun.is_over:
                message = begun.result
            else:
                try:
                    until = started_at + self.grace_s + received_bytes / BODY_MIN_BYTES_PER_S
                    async with asyncio.timeout(until - time.monotonic()):
                        message = await begun
                except TimeoutError:
                    raise BodyRefused(408, "BAD_USER_INPUT", "The body came in too slowly.") from None
            received_bytes += len(message.get("body", b""))
            more_body = message.get("more_body", False)
            if received_bytes > max_bytes:
                raise self._too_large(is_upload)
            return message

        return metered

    def _too_large(self, is_upload: bool) -> BodyRefused:
        advice = (
            f"An upload may have at most {self.upload_max_bytes:,} bytes ({self.upload_max_bytes / MIB:g} MiB)."
            if is_upload
            else f"A request body may have at most {self.json_max_bytes:,} bytes ({self.json_max_bytes / KIB:g} KiB). "
            f"For longer texts use uploadDocument, which takes a file of up to {self.upload_max_bytes / MIB:g} MiB."
        )
        return BodyRefused(413, "PAYLOAD_TOO_LARGE", advice)


def _exceeds(digits: bytes, max_bytes: int) -> bool:
    # Compared by length first: int() itself refuses numbers of thousands of digits.
    digits = digits.lstrip(b"0") or b"0"
    return len(digits) > len(str(max_bytes)) or int(digits) > max_bytes


async def _refuse(refused: BodyRefused, headers: Headers, receive: Receive, send: Send) -> None:
    refused.headers["Connection"] = "close"
    response = refusal_response(refused)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    # A client that asked first ("Expect: 100-continue") sends nothing more; one that was too slow had its time.
    if headers.get(b"expect", b"").lower() != b"100-continue" and refused.status != 408:
        await _discard_rest(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard_rest(receive: Receive) -> None:
    more_body = True
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while more_body:
                message = await receive()
                more_body = message["type"] == "http.request" and message.get("more_body", False)
