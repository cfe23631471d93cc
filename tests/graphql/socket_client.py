"""A small graphql-transport-ws client, and a reader of event streams, for tests that look at each message."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.graphql.front_door_toy import Toy

INIT = {"type": "connection_init"}
# One number after 100 seconds: whoever waits for it has to be stopped.
FOREVER = "subscription { count(to: 1, everyS: 100) }"
PROTOCOL = Subprotocol("graphql-transport-ws")


class SocketClient:
    """Sends and receives whole messages; pings of the server are answered and kept out of sight."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.pings = 0
        # The payloads of pings that had one.
        self.warnings: list[dict[str, Any]] = []

    async def send(self, message: object) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        while True:
            frame = await self.connection.recv()
            assert isinstance(frame, str), "frames must be text"
            message: dict[str, Any] = json.loads(frame)
            if message["type"] != "ping":
                return message
            self.pings += 1
            if "payload" in message:
                self.warnings.append(message["payload"])
            await self.send({"type": "pong"})

    async def subscribe(self, id_: str, query: str, **variables: object) -> None:
        await self.send({"type": "subscribe", "id": id_, "payload": {"query": query, "variables": variables}})

    async def run(self, id_: str, query: str, **variables: object) -> list[dict[str, Any]]:
        """Return all messages of one operation, the last one included; they must all be of `id_`."""
        await self.subscribe(id_, query, **variables)
        messages = [await self.receive()]
        while messages[-1]["type"] == "next":
            messages.append(await self.receive())
        assert {message.pop("id") for message in messages} == {id_}
        return messages

    async def closing(self) -> tuple[int, str]:
        """Wait for the server to close, and return its code and its reason."""
        with suppress(ConnectionClosed):
            while True:
                await self.receive()
        code, reason = self.connection.close_code, self.connection.close_reason
        assert code is not None
        assert reason is not None
        return code, reason


@asynccontextmanager
async def opened(toy: Toy, **options: Any) -> AsyncIterator[SocketClient]:
    """Open a socket, and say nothing yet."""
    options.setdefault("subprotocols", [PROTOCOL])
    async with connect(toy.ws_url, proxy=None, open_timeout=5, close_timeout=2, **options) as connection:
        yield SocketClient(connection)


@asynccontextmanager
async def connected(toy: Toy, **params: object) -> AsyncIterator[SocketClient]:
    """Open a socket that has been acknowledged."""
    async with opened(toy) as client:
        await client.send({"type": "connection_init", "payload": params})
        assert await client.receive() == {"type": "connection_ack"}
        yield client


def events_of(text: str) -> list[tuple[str, Any]]:
    """Return the name and the decoded data of each event of a stream; comments are left out."""
    events = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"]) if fields["data"] else None))
    return events
