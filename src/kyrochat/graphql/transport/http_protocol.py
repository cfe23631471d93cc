"""uvicorn's HTTP protocol, with bounds for the head of a request: uvicorn has none of its own with httptools."""

import asyncio
from http import HTTPStatus
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from kyrochat.graphql.transport.refusals import RequestRefused, encode_json
from kyrochat.graphql.transport.stall_guard import CutsStalledClients, cut

# From its first byte, or from the beginning of the connection, to the end of the head.
HEAD_TIMEOUT_S = 15.0
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
# Of what a client goes on sending after it has been refused.
MAX_DISCARDED_BYTES = 1024 * 1024
LINGER_S = 2.0
# Requests behind one that is being answered. Browsers send none, and each takes a hundred times its size in memory.
MAX_PIPELINED = 8


class AbortingHTTP(CutsStalledClients, HttpToolsProtocol):
    """Cuts a client which stopped reading its answer, or never gets to the end of its question."""

    head_timeout_s = HEAD_TIMEOUT_S
    max_head_bytes = MAX_HEAD_BYTES
    _deadline: asyncio.TimerHandle | None = None
    # What came in since the last whole head, or piece of a body: a head, or trailers, that have no end.
    _unfinished_bytes = 0
    _is_upgraded = False
    # Once it has been refused: how much more we read without looking at it.
    _left_to_discard = 0
    _refusal: HTTPStatus | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request, but not for ever."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in data. Between requests it begins the next head, or belongs to a body that nobody wants any more."""
        if self._left_to_discard:
            self._discard(data)
        else:
            self._unfinished_bytes += len(data)
            super().data_received(data)
            self._check_progress()

    def _check_progress(self) -> None:
        if self._is_upgraded or self._left_to_discard or self.transport.is_closing():
            return
        if self._unfinished_bytes > self.max_head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._deadline is None and not self._is_answering:
            self._start_clock()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the other protocol."""
        self._is_upgraded = True
        super().handle_websocket_upgrade()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer, as long as there are not too many."""
        if len(self.headers) >= MAX_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _TooMuch
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head was too large, or too many wait already."""
        self._unfinished_bytes = 0
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.max_head_bytes:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _TooMuch
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = HTTPStatus.TOO_MANY_REQUESTS
            raise _TooMuch
        self._stop_clock()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too much of it; while an answer is under way, without a word."""
        del msg
        self._refuse(self._refusal or HTTPStatus.BAD_REQUEST)

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: HTTPStatus) -> None:
        self._stop_clock()
        if self._is_answering:
            # Nothing can be said in the middle of an answer.
            cut(self.transport)
            return
        if status is HTTPStatus.REQUEST_TIMEOUT and not self._unfinished_bytes:
            # Nor need anything be said to who never said a word: browsers open connections in advance.
            self.transport.close()
            return
        body = encode_json({"errors": [RequestRefused(status, "BAD_USER_INPUT", _WORDS[status]).as_error()]}).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        # Closing at once makes TCP reset the connection, and the reset destroys the answer on its way to a client
        # that is still sending.
        self._left_to_discard = MAX_DISCARDED_BYTES
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _discard(self, data: bytes) -> None:
        self._left_to_discard -= len(data)
        if self._left_to_discard <= 0:
            self.transport.close()

    def _start_clock(self) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(self.head_timeout_s, self._on_timeout)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_timeout(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)


_WORDS = {
    HTTPStatus.BAD_REQUEST: "This is no HTTP request.",
    HTTPStatus.REQUEST_TIMEOUT: f"The head of a request has to come in within {HEAD_TIMEOUT_S:g} s.",
    HTTPStatus.TOO_MANY_REQUESTS: f"At most {MAX_PIPELINED} requests may wait behind one that is being answered.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        f"The head of a request may have at most {MAX_HEAD_BYTES:,} bytes and {MAX_HEADERS} headers."
    ),
}


class _TooMuch(Exception):
    """Ends the parser, which turns it into an error of its own."""
