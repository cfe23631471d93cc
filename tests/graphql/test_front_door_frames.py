"""Floods and broken frames on sockets, and handshakes that are none: bounded, closed, and not a line in the log."""

import asyncio
import json
import logging
from contextlib import suppress

import pytest

from kyrochat.graphql.transport.ws_protocol import AbortingWS
from tests.graphql.front_door_toy import serving, until
from tests.graphql.raw_client import CONTINUATION, PING, frame, raw, raw_socket, subscribe, upgrade


class ImpatientWS(AbortingWS):
    stall_timeout_s = 0.3


async def test_pings_that_nobody_reads_the_answers_of_are_not_read_either() -> None:
    async with serving({"ws": ImpatientWS}) as toy, raw_socket(toy.port) as client:
        (connection,) = toy.server.server_state.connections
        flood = asyncio.create_task(client.send(frame(b"x" * 125, PING) * 500_000))
        highest = 0
        while toy.server.server_state.connections:
            highest = max(highest, connection.transport.get_write_buffer_size())
            await asyncio.sleep(0.005)
        # 64 MB were there to be answered.
        assert 0 < highest < 2**20
        with suppress(ConnectionError):
            await flood


async def test_pings_whose_answers_are_read_go_on_being_answered() -> None:
    async with serving() as toy, raw_socket(toy.port) as client:
        flood = asyncio.create_task(client.send(frame(b"x" * 125, PING) * 20_000))
        assert await client.messages(20_000) == [b"x" * 125] * 20_000
        await flood
        await client.send(subscribe("1", "{ hello }"))
        assert json.loads((await client.messages(1))[0])["payload"] == {"data": {"hello": "world"}}


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        ([frame(b"{", is_final=False), frame(b"", CONTINUATION, is_final=False) * 1_000], 1009),
        ([frame(b"{", is_final=False), frame(b" " * 1_000, CONTINUATION, is_final=False) * 300], 1009),
        ([frame({"type": "pong"}) * 5_000], 1008),
        ([frame(b"\xff\xfe")], 1007),
        ([frame(b"\xe2\x82", is_final=False), frame(b"", CONTINUATION)], 1007),
        ([frame(b"x" * 10 * 2**20)], 1009),
        ([frame(b"", CONTINUATION)], 1002),
        ([frame(b"x" * 126, PING)], 1002),
        ([b"\xf1\x80\0\0\0\0"], 1002),
    ],
    ids=["empty fragments", "fragments beyond the limit", "messages", "no UTF-8", "half a character", "10 MB",
         "a fragment of nothing", "a long ping", "reserved bits"],
)  # fmt: skip
async def test_floods_and_broken_frames_end_the_socket_without_a_word_in_the_log(
    flood: list[bytes], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as toy, raw_socket(toy.port) as client:
        with suppress(ConnectionError):
            await client.send(b"".join(flood))
        (closing,) = await client.messages(1)
        await client.rest()

        assert int.from_bytes(closing[:2], "big") == code
        await until(lambda: not toy.server.server_state.connections)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([f"X-{number}: x" for number in range(200)], 431),
        (["X: " + "x" * 10_000], 431),
        (["Sec-WebSocket-Version: 12"], 400),
        (["X: " + "x" * 100_000], 431),
    ],
)
async def test_a_handshake_that_is_not_understood_is_answered_and_closed(
    headers: list[str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as toy, raw(toy.port, upgrade(*headers)) as client:
        answer = await client.rest()

        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        await until(lambda: not toy.server.server_state.connections)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
