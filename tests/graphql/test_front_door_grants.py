"""Credentials end: they expire, sessions are ended, keys revoked. Sockets and event streams end with them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from kyrochat.errors import Forbidden
from kyrochat.graphql.transport.grants import Grant, renewed, until_over
from kyrochat.graphql.transport.places import Places
from kyrochat.graphql.transport.socket_session import SocketLimits
from kyrochat.graphql.transport.view import authorization
from tests.graphql.front_door_toy import Toy, codes, serving, until
from tests.graphql.socket_client import FOREVER, INIT, connected, events_of, opened

RENEW = "mutation ($token: String!) { renew(token: $token) }"
EVENTS = {"accept": "text/event-stream"}


@dataclass
class Gate:
    """Tokens are a name and a life in seconds, "ada 0.2"; without a life they never expire."""

    ended: dict[str, asyncio.Event] = field(default_factory=dict)
    # Grants that were given and not let go.
    held: int = 0

    async def grant(self, connection: HTTPConnection, params: Mapping[str, object]) -> Grant | None:
        name, _, life_s = (authorization(connection, params) or "").partition(" ")
        if name == "mallory":
            raise Forbidden("Not you.")
        if not name:
            return None
        self.held += 1
        return Grant(name, float(life_s) if life_s else None, self.ended.setdefault(name, asyncio.Event()), self.let_go)

    def let_go(self) -> None:
        self.held -= 1


@asynccontextmanager
async def guarded(**options: Any) -> AsyncGenerator[tuple[Toy, Gate], None]:
    gate = Gate()
    async with serving(on_connect=gate.grant, **options) as toy:
        yield toy, gate
        # However a test ended them, no grant is forgotten.
        await until(lambda: gate.held == 0)


async def test_a_socket_is_warned_and_then_closed_when_its_token_expires() -> None:
    async with guarded() as (toy, _), connected(toy, authorization="ada 0.4") as client:
        await client.subscribe("1", FOREVER)

        assert await client.closing() == (4401, "The access token has expired")
        assert client.warnings == [{"accessTokenExpiresInSeconds": 1}]
        await until(lambda: toy.bell.open_streams == 0)


async def test_a_token_that_has_expired_already_closes_at_once() -> None:
    async with guarded() as (toy, _), connected(toy, authorization="ada -5") as client:
        assert await client.closing() == (4401, "The access token has expired")


async def test_a_socket_without_an_end_is_neither_warned_nor_closed() -> None:
    async with guarded() as (toy, _), connected(toy, authorization="ada") as client:
        assert len(await client.run("1", "subscription { count(to: 1, everyS: 0.3) }")) == 2
        assert client.warnings == []


async def test_the_warning_comes_a_minute_ahead_or_at_half_of_a_shorter_life() -> None:
    loop = asyncio.get_running_loop()
    for life_s, ahead_s in ((0.2, 0.1), (60.05, 30.025), (120.0, 60.0), (900.0, 60.0)):
        warned: list[tuple[float, float]] = []

        async def warn(left_s: float, warned: list[tuple[float, float]] = warned) -> None:
            warned.append((loop.time(), left_s))

        began_at = loop.time()
        following = asyncio.create_task(until_over(Grant("ada", life_s), warn))
        if life_s < 1:
            assert (await following).code == 4401
            assert 0.1 <= warned[0][0] - began_at < 0.2 <= loop.time() - began_at
            assert [left_s for _, left_s in warned] == [ahead_s]
        else:
            await asyncio.sleep(0)
            assert not warned
            following.cancel()


async def test_a_warning_that_nobody_reads_does_not_put_off_the_end() -> None:
    async def never(_left_s: float) -> None:
        await asyncio.Event().wait()

    assert await asyncio.wait_for(until_over(Grant("ada", 0.05), never), 30) == (4401, "The access token has expired")


async def test_a_socket_that_is_refreshed_goes_on_and_its_subscription_misses_nothing() -> None:
    async with guarded() as (toy, _), connected(toy, Authorization="ada 3", other="kept") as client:
        await client.subscribe("long", "subscription { count(to: 170, everyS: 0.02) }")
        counted: list[int] = []
        asked = renewed_times = 0
        # It lasts longer than the token: each warning is answered by a refresh.
        while (message := await client.receive()) != {"id": "long", "type": "complete"}:
            if message["type"] == "next" and message["id"] == "long":
                counted.append(message["payload"]["data"]["count"])
            elif message["type"] == "next":
                assert message["payload"] == {"data": {"renew": "ada"}}
                renewed_times += 1
            if len(client.warnings) > asked:
                asked += 1
                await client.subscribe(f"renewal {asked}", RENEW, token="ada 3")

        assert counted == list(range(170))
        assert renewed_times >= 2
        # And without another refresh it ends.
        assert await client.closing() == (4401, "The access token has expired")


async def test_later_operations_use_the_new_credentials() -> None:
    async with guarded() as (toy, _), connected(toy, Authorization="ada", other="kept") as client:
        await client.run("1", RENEW, token="ada 100")

        (viewer, _) = await client.run("2", "{ viewer }")

        assert viewer["payload"] == {"data": {"viewer": "ada 100"}}


async def test_a_socket_whose_handshake_had_the_token_is_refreshed_too() -> None:
    headers = {"Authorization": "ada 0.5"}
    async with guarded() as (toy, _), opened(toy, additional_headers=headers) as client:
        await client.send(INIT)
        assert await client.receive() == {"type": "connection_ack"}
        await client.run("1", RENEW, token="ada")
        (viewer, _) = await client.run("2", "{ viewer }")
        assert viewer["payload"] == {"data": {"viewer": "ada"}}
        assert len(await client.run("3", "subscription { count(to: 1, everyS: 0.6) }")) == 2


@pytest.mark.parametrize("token", ["bob", "", "mallory"])
async def test_a_socket_takes_no_credentials_of_others_and_keeps_its_own(token: str) -> None:
    async with guarded() as (toy, _), connected(toy, authorization="ada 0.5") as client:
        (refused, _) = await client.run("1", RENEW, token=token)
        assert refused["payload"]["data"] is None or refused["payload"]["data"] == {"renew": None}
        assert codes(refused["payload"]) in (["UNAUTHENTICATED"], ["FORBIDDEN"])
        (viewer, _) = await client.run("2", "{ viewer }")
        assert viewer["payload"] == {"data": {"viewer": "ada 0.5"}}
        assert await client.closing() == (4401, "The access token has expired")


async def test_a_socket_without_credentials_cannot_get_any() -> None:
    async with guarded() as (toy, _), connected(toy) as client:
        (refused, _) = await client.run("1", RENEW, token="ada")
        assert codes(refused["payload"]) == ["UNAUTHENTICATED"]


async def test_over_http_there_is_nothing_to_renew() -> None:
    async with guarded() as (toy, _):
        assert await toy.run(RENEW, token="ada") == {"data": {"renew": None}}


async def test_when_a_session_ends_its_sockets_close_at_once_and_no_others() -> None:
    async with (
        guarded() as (toy, gate),
        connected(toy, authorization="ada 100") as first,
        connected(toy, authorization="ada") as second,
        connected(toy, authorization="bob") as other,
    ):
        for client in (first, second, other):
            await client.subscribe("1", FOREVER)
        await until(lambda: toy.bell.open_streams == 3)

        gate.ended["ada"].set()

        assert [await client.closing() for client in (first, second)] == [(4403, "The session has ended")] * 2
        await until(lambda: toy.bell.open_streams == 1)
        assert len(await other.run("2", "{ hello }")) == 2


async def test_a_session_that_had_ended_before_the_socket_came_closes_it() -> None:
    async with guarded() as (toy, gate):
        gate.ended["ada"] = asyncio.Event()
        gate.ended["ada"].set()
        async with connected(toy, authorization="ada") as client:
            assert await client.closing() == (4403, "The session has ended")


@pytest.mark.parametrize(
    ("token", "reason"), [("ada 0.3", "The access token has expired"), ("ada", "The session has ended")]
)
async def test_an_event_stream_ends_with_its_grant_and_says_why(token: str, reason: str) -> None:
    async with guarded() as (toy, gate):
        query = {"query": "subscription { count(to: 1000000, everyS: 0.02) }"}
        streaming = asyncio.create_task(toy.post(query, authorization=token, **EVENTS))
        await until(lambda: toy.bell.ticks >= 3)
        if token == "ada":
            gate.ended["ada"].set()

        *counted, (name, last), end = events_of((await asyncio.wait_for(streaming, 30)).text)

        assert (name, codes(last), end) == ("next", ["UNAUTHENTICATED"], ("complete", None))
        assert last["errors"][0]["message"].startswith(reason)
        assert [data["data"]["count"] for _, data in counted] == list(range(len(counted)))
        await until(lambda: toy.bell.open_streams == 0)


async def test_a_stream_whose_credentials_are_refused_is_left_to_its_context() -> None:
    async with guarded() as (toy, _):
        answer = await toy.post({"query": "subscription { viewer }"}, authorization="mallory", **EVENTS)
        assert events_of(answer.text) == [("next", {"data": {"viewer": "mallory"}}), ("complete", None)]


async def test_each_holder_has_so_many_sockets_and_each_address_without_credentials() -> None:
    async with guarded(socket_limits=SocketLimits(max_per_holder=2)) as (toy, _):
        async with connected(toy, authorization="ada"), connected(toy, authorization="ada 100"):
            async with opened(toy) as third:
                await third.send({**INIT, "payload": {"authorization": "ada"}})
                assert await third.closing() == (4429, "Too many sockets: 2 are open already")
            # Neither others nor strangers are any of hers.
            async with connected(toy, authorization="bob"), connected(toy), connected(toy), opened(toy) as stranger:
                await stranger.send(INIT)
                assert (await stranger.closing())[0] == 4429
        # Who has closed one may open another.
        await until(lambda: not toy.view.open_sockets)
        async with connected(toy, authorization="ada") as again:
            assert len(await again.run("1", "{ hello }")) == 2


async def test_each_holder_has_so_many_event_streams_and_each_address_without_credentials() -> None:
    async with guarded(max_streams_per_holder=2) as (toy, gate), AsyncExitStack() as streams:
        for token in ("ada", "ada 100", "bob", "", ""):
            stream = await streams.enter_async_context(streaming(toy, token))
            assert stream.status_code == 200
        await until(lambda: toy.bell.open_streams == 5)
        for token in ("ada", ""):
            async with streaming(toy, token) as refused:
                assert (refused.status_code, codes(json.loads(await refused.aread()))) == (429, ["RATE_LIMITED"])
        # Nothing was begun for who was refused, and other transports have places of their own.
        assert (toy.bell.open_streams, gate.held) == (5, 3)
        async with connected(toy, authorization="ada") as client:
            assert len(await client.run("1", "{ hello }")) == 2

        # Who has closed one may open another.
        await streams.aclose()
        await until(lambda: toy.bell.open_streams == 0 and gate.held == 0)
        async with streaming(toy, "ada") as again:
            assert again.status_code == 200


@asynccontextmanager
async def streaming(toy: Toy, token: str) -> AsyncGenerator[httpx2.Response, None]:
    headers = {**EVENTS, **({"authorization": token} if token else {})}
    async with (
        httpx2.AsyncClient() as client,
        client.stream("POST", toy.url, json={"query": FOREVER}, headers=headers) as response,
    ):
        yield response


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_places_are_never_more_than_there_are_and_none_is_lost(steps: list[tuple[str, bool]]) -> None:
    places = Places(max_per_holder=2)
    held = {"a": 0, "b": 0, "c": 0}
    for who, comes in steps:
        if comes:
            assert places.take(who) == (held[who] < 2)
            held[who] = min(held[who] + 1, 2)
        elif held[who]:
            places.give_back(who)
            held[who] -= 1
        assert places.taken == {name: count for name, count in held.items() if count}


def test_new_params_take_the_place_of_old_ones_whatever_their_case() -> None:
    assert renewed({"AUTHorization": "old", "other": 1}, {"Authorization": "new"}) == {
        "other": 1,
        "Authorization": "new",
    }
