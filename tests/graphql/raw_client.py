"""Clients of bare sockets, for what no library would send: half a request, frames of any kind, and no reading."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TEXT, BINARY, CONTINUATION, PING, PONG = 0x1, 0x2, 0x0, 0x9, 0xA


def frame(payload: bytes | object, opcode: int = TEXT, *, is_final: bool = True) -> bytes:
    """Return a frame of a client; anything but bytes is sent as JSON."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    first = opcode | (0x80 if is_final else 0)
    if len(content) < 126:
        head = bytes([first, 0x80 | len(content)])
    elif len(content) < 65_536:
        head = bytes([first, 0xFE]) + len(content).to_bytes(2, "big")
    else:
        head = bytes([first, 0xFF]) + len(content).to_bytes(8, "big")
    # A mask of zeros leaves the content as it is.
    return head + b"\0\0\0\0" + content


def subscribe(id_: str, query: str, **variables: object) -> bytes:
    return frame({"type": "subscribe", "id": id_, "payload": {"query": query, "variables": variables}})


def upgrade(*headers: str) -> str:
    key = base64.b64encode(os.urandom(16)).decode()
    return "\r\n".join(
        [
            "GET /graphql HTTP/1.1",
            "Host: x",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: graphql-transport-ws",
            f"Sec-WebSocket-Key: {key}",
            *headers,
            "\r\n",
        ]
    )


class RawClient:
    """A TCP connection with a small receive buffer, that reads nothing unless told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def send(self, content: bytes | str) -> None:
        await asyncio.get_running_loop().sock_sendall(
            self.sock, content.encode() if isinstance(content, str) else content
        )

    async def receive(self, size: int = 65_536) -> bytes:
        """Return some bytes, or none at the end; a reset is an end, too."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, size), 30)
        except ConnectionResetError:
            return b""

    async def rest(self) -> bytes:
        """Return everything until the end."""
        pieces = []
        while piece := await self.receive():
            pieces.append(piece)
        return b"".join(pieces)

    async def messages(self, count: int) -> list[bytes]:
        """Return the contents of the next frames of the server, whose fragments and pings there are none of."""
        buffer = b""
        found: list[bytes] = []
        while len(found) < count:
            piece = await self.receive()
            assert piece, "the server has closed"
            buffer += piece
            while (parted := _first_frame(buffer)) is not None:
                content, buffer = parted
                found.append(content)
        return found

    async def is_cut(self) -> bool:
        """Say whether the other side has ended the connection; what it had sent before is read and dropped."""
        await self.rest()
        return True


def _first_frame(buffer: bytes) -> tuple[bytes, bytes] | None:
    if len(buffer) < 2:
        return None
    extra = {126: 2, 127: 8}.get(buffer[1], 0)
    start = 2 + extra
    if len(buffer) < start:
        return None
    length = int.from_bytes(buffer[2:start], "big") if extra else buffer[1]
    if len(buffer) < start + length:
        return None
    return buffer[start : start + length], buffer[start + length :]


@asynccontextmanager
async def raw(port: int, head: bytes | str = b"") -> AsyncIterator[RawClient]:
    """Connect, and send the beginning of something."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    sock.setblocking(False)
    client = RawClient(sock)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        await client.send(head)
        yield client
    finally:
        sock.close()


@asynccontextmanager
async def raw_socket(port: int) -> AsyncIterator[RawClient]:
    """Open a WebSocket that has been acknowledged."""
    async with raw(port, upgrade()) as client:
        assert (await client.receive()).startswith(b"HTTP/1.1 101 ")
        await client.send(frame({"type": "connection_init"}))
        assert await client.messages(1) == [b'{"type":"connection_ack"}']
        yield client
