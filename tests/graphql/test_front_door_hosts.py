"""Names that the server answers to: a page that gives its own name our address gets nothing."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from kyrochat.graphql.transport.hosts import Hosts
from kyrochat.settings import Settings
from tests.graphql.front_door_toy import Toy, codes, serving, until
from tests.graphql.raw_client import raw
from tests.graphql.socket_client import PROTOCOL

LOOPBACK = Hosts.of([], is_loopback=True)
NAMED = Hosts.of(["chat.example.com", ".example.org"], is_loopback=False)
ANY = Hosts.of([], is_loopback=False)


@asynccontextmanager
async def gated(hosts: Hosts) -> AsyncGenerator[Toy, None]:
    async with serving(hosts=hosts) as toy:
        yield toy


async def status(toy: Toy, *headers: str, version: str = "1.1") -> int:
    lines = [f"POST /graphql HTTP/{version}", "Content-Type: application/json", "Content-Length: 22", *headers]
    async with raw(toy.port, "\r\n".join([*lines, "", '{"query": "{ hello }"}'])) as client:
        answer = await client.receive()
        if not answer.startswith(b"HTTP/1.1 200 "):
            # The body was not read, so that the connection is not used again.
            assert b"connection: close" in answer.lower()
        return int(answer.split(b" ")[1])


@pytest.mark.parametrize(
    ("hosts", "host", "expected"),
    [
        (LOOPBACK, "localhost", 200),
        (LOOPBACK, "LocalHost:8000", 200),
        (LOOPBACK, "localhost.", 200),
        (LOOPBACK, "kyro.localhost:1", 200),
        (LOOPBACK, "127.0.0.1:8000", 200),
        (LOOPBACK, "127.8.9.1", 200),
        (LOOPBACK, "[::1]:8000", 200),
        (LOOPBACK, "evil.example", 421),
        (LOOPBACK, "localhost.evil.example", 421),
        (LOOPBACK, "evillocalhost", 421),
        (LOOPBACK, "127.0.0.1.nip.io", 421),
        (LOOPBACK, "0.0.0.0:8000", 421),
        (LOOPBACK, "192.168.1.2", 421),
        (LOOPBACK, "[::ffff:192.168.1.2]", 421),
        (NAMED, "chat.example.com", 200),
        (NAMED, "Chat.Example.COM.:443", 200),
        (NAMED, "a.b.example.org", 200),
        (NAMED, "example.org", 421),
        (NAMED, "evilexample.org", 421),
        (NAMED, "a.chat.example.com", 421),
        (NAMED, "localhost", 421),
        (NAMED, "127.0.0.1", 421),
        (ANY, "evil.example", 200),
        (ANY, "10.0.0.7:8000", 200),
        (ANY, "", 400),
        (ANY, "a b", 400),
        (ANY, "user@localhost", 400),
        (ANY, "localhost/", 400),
        (ANY, "localhost:port", 400),
        (ANY, "[::1", 400),
        (LOOPBACK, "localhost,evil.example", 400),
    ],
)
async def test_a_name_is_answered_or_refused(hosts: Hosts, host: str, expected: int) -> None:
    async with gated(hosts) as toy:
        assert await status(toy, f"Host: {host}") == expected
        assert toy.bell.contexts == (expected == 200)


async def test_no_host_and_two_hosts_are_no_request() -> None:
    async with gated(ANY) as toy:
        assert await status(toy) == 400
        assert await status(toy, "Host: localhost", "Host: localhost") == 400
        # Older clients had no such header, and browsers are not among them.
        assert await status(toy, version="1.0") == 200


async def test_the_refusal_is_a_graphql_error_with_a_next_step() -> None:
    async with gated(LOOPBACK) as toy, httpx2.AsyncClient() as client:
        answer = await client.post(toy.url, json={"query": "{ hello }"}, headers={"host": "evil.example"})

        assert (answer.status_code, codes(answer.json())) == (421, ["BAD_USER_INPUT"])
        assert "KYROCHAT_ALLOWED_HOSTS" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_come_by_address(path: str) -> None:
    async with gated(NAMED) as toy, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{toy.port}{path}")
        # The toy has none, and that is what it says.
        assert answer.status_code == 404


async def test_sockets_under_another_name_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with gated(LOOPBACK) as toy:
        # As a browser does whose page has given its own name our address.
        opening = connect(
            "ws://evil.example/graphql",
            host="127.0.0.1",
            port=toy.port,
            origin=Origin("http://evil.example"),
            proxy=None,
            subprotocols=[PROTOCOL],
        )
        with pytest.raises(InvalidStatus) as refused:
            await opening
        assert refused.value.response.status_code == 421
        await until(lambda: not toy.server.server_state.connections)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Settings(), {"localhost", ".localhost"}),
        (Settings(host="0.0.0.0"), None),
        (Settings(allowed_hosts="*"), None),
        (Settings(host="0.0.0.0", allowed_hosts=" a.example , *.b.example,"), {"a.example", ".b.example"}),
        (Settings(host="0.0.0.0", public_url="https://c.example:8443/x"), None),
        (
            Settings(host="0.0.0.0", allowed_hosts="A.example", public_url="https://C.example"),
            {"a.example", "c.example"},
        ),
        (Settings(public_url="https://c.example"), {"c.example", "localhost", ".localhost"}),
    ],
)
def test_the_names_come_from_the_settings(settings: Settings, names: set[str] | None) -> None:
    assert Hosts.of(settings.hosts, is_loopback=settings.is_loopback).names == names


@given(st.text())
def test_no_name_is_taken_for_this_machine_that_is_not(name: str) -> None:
    if LOOPBACK.allow(name):
        assert name == "localhost" or name.endswith(".localhost") or name.strip("[]").startswith(("127.", "::", "0"))
