from collections.abc import Mapping

import pytest
from starlette.requests import HTTPConnection
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kyrochat.errors import Forbidden, Overloaded, Unauthenticated
from kyrochat.graphql.transport.grants import Grant
from tests.graphql.front_door_toy import serving, until
from tests.graphql.socket_client import FOREVER, INIT, PROTOCOL, connected, opened


async def refuse_mallory(_connection: HTTPConnection, params: Mapping[str, object]) -> Grant | None:
    if params.get("name") == "mallory":
        raise Forbidden("Not you. " + "é" * 200)
    if params.get("name") == "bug":
        raise RuntimeError("Not for clients.")
    if params.get("name") == "busy":
        raise TimeoutError("The pool is empty.")
    if params.get("name") == "crowd":
        raise Overloaded
    if params.get("name") == "late":
        raise Unauthenticated
    return None


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("mallory", 4403, "Not you. "),
        ("bug", 4500, "Internal server error"),
        ("busy", 1013, "The server is busy. Try again in a few seconds."),
        ("crowd", 1013, "The server is busy. Try again in a few seconds."),
    ],
)
async def test_on_connect_may_refuse_a_socket(name: str, code: int, reason: str) -> None:
    async with serving(on_connect=refuse_mallory) as toy, opened(toy) as client:
        await client.send({**INIT, "payload": {"name": name}})

        closing = await client.closing()

    assert (closing[0], closing[1][: len(reason)]) == (code, reason)


async def test_credentials_that_do_not_hold_are_like_none_at_all() -> None:
    async with serving(on_connect=refuse_mallory) as toy, connected(toy, name="late") as client:
        assert await client.run("1", "{ hello }") == [
            {"type": "next", "payload": {"data": {"hello": "world"}}},
            {"type": "complete"},
        ]


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        (None, True),
        ("same", True),
        ("https://app.example.com", True),
        ("https://APP.example.com:443", True),
        ("https://evil.example.com", False),
        ("http://app.example.com", False),
        ("null", False),
        ("garbage", False),
    ],
)
async def test_sockets_of_foreign_origins_get_403(origin: str | None, is_allowed: bool) -> None:
    async with serving(allowed_origins=["https://app.example.com"]) as toy:
        headers = {} if origin is None else {"Origin": f"http://127.0.0.1:{toy.port}" if origin == "same" else origin}
        opening = connect(toy.ws_url, proxy=None, additional_headers=headers, subprotocols=[PROTOCOL])
        if is_allowed:
            async with opening as connection:
                assert connection.subprotocol == PROTOCOL
            return
        with pytest.raises(InvalidStatus) as refused:
            await opening
        assert refused.value.response.status_code == 403


async def test_a_server_that_stops_closes_sockets_with_1012() -> None:
    async with serving() as stopping:
        async with connected(stopping) as client:
            await client.subscribe("1", FOREVER)
            await until(lambda: stopping.bell.open_streams == 1)
            stopping.server.should_exit = True
            assert (await client.closing())[0] == 1012
        await until(lambda: stopping.bell.open_streams == 0)
