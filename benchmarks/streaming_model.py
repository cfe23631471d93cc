"""A model on the wire that costs next to nothing: `python -m benchmarks.streaming_model`.

It speaks Gemini's REST stream. Each piece says when it was sent, on the clock that all processes of a machine share.
The model's name says what it does: `pieces-RATE-COUNT`, so many a second, so many in all. It prints its port.
"""

import asyncio
import json
import re
import time
from typing import ClassVar, cast

import uvloop

TICK_S = 0.004
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FINISH = {
    "candidates": [{"index": 0, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3, "totalTokenCount": 15},
}
_ASKED = re.compile(rb"POST [^ ]*pieces-(\d+)-(\d+):")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.I)


def chunk(event: object) -> bytes:
    data = b"data: " + json.dumps(event).encode() + b"\r\n\r\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def piece() -> bytes:
    text = f"{time.monotonic():.5f} "
    return chunk({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}]})


class Stream(asyncio.Protocol):
    """One connection, which is asked again and again."""

    open: ClassVar["set[Stream]"] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none of asyncio's class.
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or (length and len(body) < int(length[1])):
            return
        asked = _ASKED.match(head)
        assert asked is not None, head
        self.received = b""
        self.rate, self.left, self.sent = int(asked[1]), int(asked[2]), 0
        self.began = time.monotonic()
        self.transport.write(HEAD)
        self.open.add(self)
        self.go_on(self.began)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.open.discard(self)

    def go_on(self, now: float) -> None:
        """Send what is due; the first piece is at once."""
        while self.sent <= (now - self.began) * self.rate:
            if self.sent == self.left:
                self.transport.write(chunk(FINISH) + b"0\r\n\r\n")
                self.open.discard(self)
                return
            self.transport.write(piece())
            self.sent += 1


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Stream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while True:
        await asyncio.sleep(TICK_S)
        now = time.monotonic()
        for stream in list(Stream.open):
            stream.go_on(now)


if __name__ == "__main__":
    uvloop.run(main())
