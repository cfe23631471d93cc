"""Clients that stop reading: they must cost little, hold up nobody, and be cut in the end."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kyrochat.graphql.transport.uvicorn_options import AbortingHTTP, AbortingWS
from tests.graphql.front_door_toy import Toy, serving, until
from tests.graphql.socket_client import connected

BLOBS = "subscription { blobs(to: 100000, size: 20000) }"


class ImpatientWS(AbortingWS):
    stall_timeout_s = 0.3


class PatientWS(AbortingWS):
    stall_timeout_s = 100.0
    abort_after_s = 0.2


class ImpatientHTTP(AbortingHTTP):
    stall_timeout_s = 0.3


def text_frame(message: object) -> bytes:
    payload = json.dumps(message).encode()
    assert len(payload) < 126
    # A mask of zeros leaves the payload as it is.
    return bytes([0x81, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


@asynccontextmanager
async def raw(toy: Toy, head: str) -> AsyncIterator[socket.socket]:
    """Connect with a small receive buffer, send the head of a request, and read nothing unless told to."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(client, ("127.0.0.1", toy.port))
        await loop.sock_sendall(client, head.encode())
        yield client
    finally:
        client.close()


def upgrade() -> str:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        "GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n"
    )


def post(query: str) -> str:
    body = json.dumps({"query": query})
    return (
        "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


async def test_a_socket_that_stops_reading_is_cut_and_its_neighbour_is_not() -> None:
    async with (
        serving({"ws": ImpatientWS}) as toy,
        connected(toy) as neighbour,
        raw(toy, upgrade()) as client,
    ):
        loop = asyncio.get_running_loop()
        assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 101 ")
        await loop.sock_sendall(client, text_frame({"type": "connection_init"}))
        start = {"type": "subscribe", "id": "1", "payload": {"query": BLOBS}}
        await loop.sock_sendall(client, text_frame(start))
        await until(lambda: toy.bell.open_streams == 1)

        # While it stalls, others are served.
        assert len(await neighbour.run("1", "{ hello }")) == 2
        await until(lambda: toy.bell.closed_streams == 1, within_s=5)

        # Back-pressure: what it did not read was never made.
        assert toy.bell.ticks < 1_000
        assert len(toy.server.server_state.connections) == 1
        assert len(await neighbour.run("2", "{ hello }")) == 2


async def test_a_socket_that_answers_no_ping_is_cut_although_the_close_cannot_get_out() -> None:
    pings = {"ws_ping_interval": 0.1, "ws_ping_timeout": 0.2}
    async with serving({"ws": PatientWS, **pings}) as toy, raw(toy, upgrade()) as client:
        loop = asyncio.get_running_loop()
        assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 101 ")
        await loop.sock_sendall(client, text_frame({"type": "connection_init"}))
        await loop.sock_sendall(client, text_frame({"type": "subscribe", "id": "1", "payload": {"query": BLOBS}}))

        await until(lambda: toy.bell.closed_streams == 1, within_s=5)
        await until(lambda: not toy.server.server_state.connections)


async def test_an_event_stream_that_nobody_reads_is_cut() -> None:
    async with serving({"http": ImpatientHTTP}) as toy, raw(toy, post(BLOBS)):
        await until(lambda: toy.bell.open_streams == 1)
        await until(lambda: toy.bell.closed_streams == 1, within_s=5)

        assert toy.bell.ticks < 1_000
        await until(lambda: not toy.server.server_state.connections)


async def test_a_client_that_reads_slowly_is_left_alone() -> None:
    async with serving({"http": ImpatientHTTP}) as toy, raw(toy, post(BLOBS)) as client:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2
        while loop.time() < deadline:
            assert await loop.sock_recv(client, 4096) != b""
            await asyncio.sleep(0.002)

        assert toy.bell.open_streams == 1
        assert toy.bell.ticks < 1_000
