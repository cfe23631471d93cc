"""Sockets that read many streams and cost next to nothing, so that what is measured is the server."""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit


@dataclass
class Stream:
    """What one answer took. Times are on the clock of all processes; `delays_s` are from the model to us."""

    asked_at: float = 0.0
    first_at: float = 0.0
    last_at: float = 0.0
    failure: str = ""
    delays_s: list[float] = field(default_factory=list)

    def take(self, text: str, now: float) -> None:
        for sent_at in text.split():
            self.delays_s.append(now - float(sent_at))
        if self.delays_s and not self.first_at:
            self.first_at = now
        self.last_at = now


class Socket(asyncio.Protocol):
    """A graphql-transport-ws socket that hands each message to whom it is for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received = b""
        self.is_open = False
        self.upgraded = asyncio.get_running_loop().create_future()
        self.opened = asyncio.get_running_loop().create_future()
        self.hears: dict[str, Callable[[dict[str, Any], float], None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none of asyncio's class.
        self.transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {self.address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def send(self, message: object) -> None:
        payload = json.dumps(message).encode()
        size = len(payload)
        head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        # A mask of zeros leaves the payload as it is.
        self.transport.write(head + b"\0\0\0\0" + payload)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.received += data
        if not self.is_open:
            head, separator, self.received = self.received.partition(b"\r\n\r\n")
            assert separator
            assert b" 101 " in head, head
            self.is_open = True
            self.upgraded.set_result(None)
        at, received = 0, self.received
        while len(received) >= at + 2:
            size, start = received[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(received[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(received[at + 2 : at + 10], "big"), at + 10
            if len(received) < start + size:
                break
            if received[at] == 0x81:
                self.hear(json.loads(received[start : start + size]), now)
            at = start + size
        self.received = received[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        for waiting in (self.upgraded, self.opened):
            if not waiting.done():
                waiting.set_exception(ConnectionError("The server closed the socket."))

    def hear(self, message: dict[str, Any], now: float) -> None:
        match message["type"]:
            case "connection_ack":
                self.opened.set_result(None)
            case "ping":
                self.send({"type": "pong"})
            case _:
                self.hears[message["id"]](message, now)

    async def insist(self, query: str, variables: dict[str, Any]) -> Any:
        """Ask until the server is not too busy to answer."""
        while True:
            message = await self.ask(query, variables)
            failed = message["type"] == "error"
            errors = message["payload"] if failed else message["payload"].get("errors")
            if not errors:
                (value,) = message["payload"]["data"].values()
                return value
            assert errors[0]["extensions"]["code"] == "OVERLOADED", message
            await asyncio.sleep(0.2)

    async def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return what comes back from a query or mutation."""
        answered = asyncio.get_running_loop().create_future()
        id_ = f"ask {len(self.hears)}"
        self.hears[id_] = lambda message, _: None if answered.done() else answered.set_result(message)
        self.send({"type": "subscribe", "id": id_, "payload": {"query": query, "variables": variables}})
        message: dict[str, Any] = await answered
        return message

    async def watch(self, query: str, variables: dict[str, Any], stream: Stream) -> None:
        """Read a subscription to its end, and go on with it where the server was too busy to begin."""
        last, ended = 0, False
        while not ended:
            done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

            def hear(message: dict[str, Any], now: float, done: "asyncio.Future[bool]" = done) -> None:
                nonlocal last
                errors = message["payload"] if message["type"] == "error" else message.get("payload", {}).get("errors")
                if errors or message["type"] == "complete":
                    if not done.done():
                        done.set_result(not errors)
                    return
                event = message["payload"]["data"]["answerEvents"]
                last = event.get("sequence", last)
                stream.failure = event.get("reason", "")
                if "text" in event:
                    stream.take(event["text"], now)

            id_ = f"watch {len(self.hears)}"
            self.hears[id_] = hear
            payload = {"query": query, "variables": {**variables, "after": last}}
            self.send({"type": "subscribe", "id": id_, "payload": payload})
            ended = await done
            if not ended:
                await asyncio.sleep(0.2)


async def open_socket(url: str, payload: dict[str, str]) -> Socket:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    assert parts.hostname is not None
    assert parts.port is not None
    _, socket = await loop.create_connection(lambda: Socket(parts.netloc), parts.hostname, parts.port)
    await socket.upgraded
    socket.send({"type": "connection_init", "payload": payload})
    await socket.opened
    return socket
