"""Requests that never get to the point: heads that trickle, that are too large, or that come too many at once."""

import asyncio
import json
import logging

import pytest

from kyrochat.graphql.transport.http_protocol import MAX_HEAD_BYTES, AbortingHTTP
from kyrochat.graphql.transport.uvicorn_options import UVICORN_OPTIONS
from tests.graphql.front_door_toy import Toy, codes, serving, until
from tests.graphql.raw_client import raw

HELLO = b'{"query": "{ hello }"}'
HANG = b'{"query": "{ hang }"}'
CHUNKED = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class ImpatientHTTP(AbortingHTTP):
    head_timeout_s = 0.3


def post(body: bytes = HELLO, *headers: str) -> bytes:
    head = ["POST /graphql HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *headers, "\r\n"]).encode() + body


async def trickle(toy: Toy, content: bytes) -> bytes:
    """Send a byte every 20 ms until the server has had enough, and return what it says."""
    async with raw(toy.port) as client:
        reading = asyncio.create_task(client.rest())
        for place in range(len(content)):
            try:
                await client.send(content[place : place + 1])
            except ConnectionError:
                break
            await asyncio.wait({reading}, timeout=0.02)
            if reading.done():
                break
        return await reading


@pytest.mark.parametrize(
    "content", [b"POST /graphql HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 500, b"G" * 500, b"\r\n" * 250]
)
async def test_a_head_that_comes_in_byte_by_byte_is_cut_off(content: bytes) -> None:
    async with serving({"http": ImpatientHTTP}) as toy:
        answer = await trickle(toy, content)

        assert answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))
        await until(lambda: not toy.server.server_state.connections)


async def test_a_connection_that_never_says_a_word_is_closed_without_one() -> None:
    async with serving({"http": ImpatientHTTP}) as toy, raw(toy.port) as client:
        assert await client.rest() == b""
        assert not toy.server.server_state.connections


async def test_the_second_request_of_a_connection_has_as_little_time_and_idling_more() -> None:
    async with serving({"http": ImpatientHTTP, "timeout_keep_alive": 1.0}) as toy, raw(toy.port, post()) as client:
        assert b"world" in await client.receive()
        # Longer than a head may take.
        await asyncio.sleep(0.5)
        await client.send(post())
        assert b"world" in await client.receive()

        await client.send(b"POST /gra")

        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_idles_is_closed_in_the_end() -> None:
    async with serving({"timeout_keep_alive": 0.3}) as toy, raw(toy.port, post()) as client:
        assert (await client.rest()).count(b"HTTP/1.1 200 ") == 1
        assert not toy.server.server_state.connections
    assert UVICORN_OPTIONS["timeout_keep_alive"] == 75


async def test_a_body_that_trickles_in_after_its_answer_is_cut_off() -> None:
    async with serving({"http": ImpatientHTTP}) as toy:
        # Nothing is there, so that nobody reads the body.
        answer = await trickle(toy, b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n" + b"x" * 500)
        # The head trickled in too slowly by itself.
        assert answer.startswith(b"HTTP/1.1 408 ")
        async with raw(toy.port, "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n") as client:
            assert (await client.receive()).startswith(b"HTTP/1.1 404 ")
            reading = asyncio.create_task(client.rest())
            while not reading.done():
                await asyncio.wait({reading}, timeout=0.02)
                try:
                    await client.send(b"x")
                except ConnectionError:
                    break
            await reading


async def test_a_request_that_takes_long_to_answer_is_not_cut_off() -> None:
    async with serving({"http": ImpatientHTTP}) as toy, raw(toy.port, post(HANG)) as client:
        await until(lambda: toy.bell.hanging)
        reading = asyncio.create_task(client.receive())
        await asyncio.wait({reading}, timeout=0.6)
        assert not reading.done()
        reading.cancel()
        assert toy.bell.hanging == 1


@pytest.mark.parametrize(
    "headers",
    [
        ["X: " + "x" * MAX_HEAD_BYTES],
        [f"X-{number}: x" for number in range(101)],
        ["x" * MAX_HEAD_BYTES + ": x"],
        ["X: " + "x" * 900_000],
    ],
    ids=["a long value", "many headers", "a long name", "900 kB"],
)
async def test_a_head_that_is_too_large_gets_431(headers: list[str], caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as toy, raw(toy.port, post(HELLO, *headers)) as client:
        answer = await client.rest()

        assert answer.startswith(b"HTTP/1.1 431 ")
        assert codes(json.loads(answer.partition(b"\r\n\r\n")[2])) == ["BAD_USER_INPUT"]
        assert toy.bell.contexts == 0
    assert sum(len(record.getMessage()) for record in caplog.records) < 1_000


async def test_a_url_that_is_too_long_gets_431() -> None:
    async with serving() as toy, raw(toy.port, f"GET /{'x' * MAX_HEAD_BYTES} HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\n",
        CHUNKED + b"0\r\nX: ",
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
    ids=["a URL", "a value", "names", "a trailer", "a trailer that nobody reads"],
)
async def test_a_head_without_an_end_is_cut_off_before_it_takes_memory(start: bytes) -> None:
    async with serving() as toy, raw(toy.port, start) as client:
        reading = asyncio.create_task(client.rest())
        sent = 0
        try:
            while not reading.done():
                await client.send(b"x" * 10_000)
                sent += 10_000
        except ConnectionError:
            pass
        await reading
        # No more than the kernel takes on the way.
        assert sent < 20_000_000
        await until(lambda: not toy.server.server_state.connections)


async def test_a_body_in_many_small_chunks_is_no_head_without_an_end() -> None:
    async with serving() as toy:
        body = HELLO + b" " * 60_000
        chunks = b"".join(b"1\r\n" + body[place : place + 1] + b"\r\n" for place in range(len(body)))
        async with raw(toy.port, CHUNKED) as client:
            await client.send(chunks + b"0\r\n\r\n")
            assert b"world" in await client.receive()


async def test_a_few_requests_may_wait_behind_one_and_many_may_not() -> None:
    async with serving() as toy:
        async with raw(toy.port, post() * 8) as client:
            answers = b""
            while answers.count(b"world") < 8:
                answers += await client.receive()
        async with raw(toy.port, post(HANG) + post() * 1_000) as client:
            assert await client.rest() == b""
        await until(lambda: not toy.server.server_state.connections)


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 100, b"SSH-2.0-x\r\n"])
async def test_what_is_no_http_gets_400_and_one_line_in_the_log(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as toy, raw(toy.port, garbage + b"\r\n") as client:
        answer = await client.rest()

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"x-content-type-options: nosniff" in answer
        assert toy.bell.contexts == 0
    assert [(record.name, record.exc_info) for record in caplog.records if record.levelno >= logging.WARNING] == [
        ("uvicorn.error", None)
    ]
