"""Servers that mean harm or are broken: each ends in a plain failure, in bounded time and memory."""

import asyncio
import gzip
import ssl
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import Fetched, Limits
from tests.outbound.wire import PUBLIC, Request, answer, fetcher, listening, quick, saying

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
MIB = 1 << 20


def resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def for_ever(
    head: bytes, piece: bytes, pause_s: float = 0.0
) -> Callable[[Request, asyncio.StreamWriter], Awaitable[None]]:
    async def talk(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return talk


async def silent(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        # Not HTTP.
        (b"<html>HTTP/0.9 has no head</html>", "does not answer as a web server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer as a web server"),
        (b"", "does not answer as a web server"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "does not answer as a web server"),
        (b"HTTP/1.1 99999 OK\r\n\r\n", "does not answer as a web server"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "does not answer as a web server"),
        # Lies about the size.
        (HEAD + b"Content-Length: 100\r\n\r\nshort", "does not answer as a web server"),
        (HEAD + b"Content-Length: 9999999\r\n\r\nx", "more than 1 MiB"),
        (HEAD + b"Content-Length: " + b"9" * 20 + b"\r\n\r\nx", "more than 1 MiB"),
        (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nx", "does not answer as a web server"),
        (HEAD + b"Content-Length: -1\r\n\r\nx", "does not answer as a web server"),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "does not answer as a web server"),
        (HEAD + b"Content-Length: 1\r\n\r\nx" + b"y" * 2 * MIB, None),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "does not answer as a web server"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", "does not answer as a web server"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nab", "does not answer as a web server"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "does not answer as a web server"),
        (HEAD + b"\r\n" + b"x" * (MIB + 1), "more than 1 MiB"),
        # Packed in other ways, or badly.
        (answer(zlib.compress(b"x"), content_encoding="deflate"), "packed in a way"),
        (answer(b"x", content_encoding="br"), "packed in a way"),
        (answer(gzip.compress(gzip.compress(b"x")), content_encoding="gzip, gzip"), "packed in a way"),
        (answer(b"no gzip", content_encoding="gzip"), "damaged"),
        (answer(gzip.compress(b"x" * 1000)[:-6], content_encoding="gzip"), "damaged"),
        (answer(gzip.compress(b"x" * 1000)[:-8] + b"\0" * 8, content_encoding="gzip"), "damaged"),
        # Heads without measure.
        (HEAD + b"X: " + b"x" * MIB + b"\r\n\r\n", "does not answer as a web server"),
        (
            HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(100_000)) + b"\r\n",
            "does not answer as a web server",
        ),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" * 100_000, "more than 1 MiB"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "does not answer as a web server"),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
async def test_an_answer_that_is_none_is_told_plainly(answered: bytes, said: str | None) -> None:
    async with listening(saying(answered)) as wire:
        fetching = fetcher(limits=quick(total_s=20)).fetch(wire.address())
        if said is None:
            found = await fetching
            assert isinstance(found, Fetched)
            assert found.body == b"x"
            return
        with pytest.raises(FetchFailed, match=said):
            await fetching


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"\r\n", b"x" * 65536),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        # A byte of body with as much framing as there may be.
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 60_000 + b"\r\ny\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\x00\x00\x00\xff\xff" * 10_000),
    ],
    ids=["body", "chunks", "framing", "informational", "empty gzip blocks"],
)
async def test_what_never_ends_is_cut_off_at_the_cap(head: bytes, piece: bytes) -> None:
    began = time.monotonic()
    async with listening(for_ever(head, piece)) as wire:
        with pytest.raises(FetchFailed, match="more than 1 MiB"):
            await fetcher(limits=quick(total_s=20)).fetch(wire.address())

    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"x"),
        (HEAD, b"X: y\r\n"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["status line", "headers", "body", "chunks"],
)
async def test_a_drip_is_cut_off_at_the_deadline(head: bytes, piece: bytes) -> None:
    began = time.monotonic()
    async with listening(for_ever(head, piece, pause_s=0.01)) as wire:
        with pytest.raises(FetchFailed, match=r"took more than 0\.4 s") as failed:
            await fetcher(limits=quick(total_s=0.4)).fetch(wire.address())

    assert failed.value.retryable
    assert 0.3 < time.monotonic() - began < 5


async def test_redirects_share_one_deadline() -> None:
    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.25)
        writer.write(answer(status="302 Found", location="/on"))

    began = time.monotonic()
    async with listening(slow) as wire:
        with pytest.raises(FetchFailed, match="took more than"):
            await fetcher(limits=quick(total_s=0.6)).fetch(wire.address())

    assert len(wire.requests) == 3
    assert time.monotonic() - began < 5


async def test_a_server_that_says_nothing_is_left_at_the_deadline_with_and_without_tls() -> None:
    authority = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("site.example").configure_cert(server)
    authority.configure_trust(trusting)
    own = fetcher(ssl_context=trusting, limits=quick(total_s=0.5))
    began = time.monotonic()

    async with listening(silent) as plain, listening(silent, tls=server) as secure:
        for address in (plain.address(), secure.address(scheme="https")):
            with pytest.raises(FetchFailed, match=r"took more than 0\.5 s"):
                await own.fetch(address)
        with pytest.raises(FetchFailed):  # no handshake comes from a server that waits for a request
            await own.fetch(plain.address(scheme="https"))

        assert (len(plain.requests), len(secure.requests)) == (1, 1)
    assert time.monotonic() - began < 10


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_bomb_of_two_gigabytes_takes_as_much_memory_as_a_page() -> None:
    packer = zlib.compressobj(9, wbits=31)
    zeros = b"\0" * (16 * MIB)
    bomb = b"".join(packer.compress(zeros) for _ in range(128)) + packer.flush()
    assert len(bomb) < 3 * MIB

    async with listening(saying(answer(bomb, content_encoding="gzip"))) as wire:
        before, began = resident_bytes(), time.monotonic()
        with pytest.raises(FetchFailed, match="more than 5 MiB"):
            await fetcher(limits=Limits()).fetch(wire.address())

    assert time.monotonic() - began < 5
    assert resident_bytes() - before < 20 * MIB


async def test_many_bad_servers_do_not_keep_up_the_event_loop() -> None:
    heaviest = answer(gzip.compress(b"\0" * 4 * MIB), content_encoding="gzip")
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            began = time.thread_time()  # not the clock: the machine may be busy with something else
            await asyncio.sleep(0)
            longest_s = max(longest_s, time.thread_time() - began)

    async with listening(saying(heaviest)) as wire:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(fetcher(limits=Limits()).fetch(wire.address()) for _ in range(8)))
        watching.cancel()

    assert longest_s < 0.5


async def test_a_fetch_that_is_cancelled_leaves_no_connection_behind() -> None:
    hung_up = asyncio.Event()

    async def talk(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.001)
        except ConnectionError:
            hung_up.set()

    async with listening(talk) as wire:
        fetching = asyncio.create_task(fetcher().fetch(wire.address()))
        while not wire.requests:
            await asyncio.sleep(0)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        async with asyncio.timeout(30):
            await hung_up.wait()


async def test_a_port_where_nobody_listens_is_told_as_that() -> None:
    async with listening(saying(b"")) as wire:
        port = wire.port
    with pytest.raises(FetchFailed, match="cannot be reached") as failed:
        await fetcher().fetch(WebAddress("http", PUBLIC, port, "/"))

    assert failed.value.retryable
