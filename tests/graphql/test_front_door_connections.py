from collections.abc import Mapping

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kyrochat.errors import Forbidden
from tests.graphql.front_door_toy import serving, until
from tests.graphql.socket_client import FOREVER, INIT, PROTOCOL, connected, opened


async def refuse_mallory(_socket: WebSocket, params: Mapping[str, object]) -> float | None:
    if params.get("name") == "mallory":
        raise Forbidden("Not you. " + "é" * 200)
    return 0.2 if params.get("name") == "guest" else None


async def test_on_connect_may_refuse_with_4403_and_limit_the_life_of_a_socket() -> None:
    async with serving(on_connect=refuse_mallory) as toy:
        async with opened(toy) as client:
            await client.send({**INIT, "payload": {"name": "mallory"}})
            code, reason = await client.closing()
            assert (code, reason[:9]) == (4403, "Not you. ")
        async with connected(toy, name="guest") as client:
            await client.subscribe("1", FOREVER)
            assert await client.closing() == (4401, "The access token has expired")
        await until(lambda: toy.bell.open_streams == 0)


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
