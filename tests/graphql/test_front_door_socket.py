import json
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from websockets.typing import Subprotocol

from kyrochat.graphql.transport.socket_session import SocketLimits
from tests.graphql.front_door_toy import Toy, serving, until
from tests.graphql.socket_client import FOREVER, INIT, PROTOCOL, connected, opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def toy() -> AsyncIterator[Toy]:
    async with serving() as toy:
        yield toy


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert loud == [], "a client's doing must not reach the log"


async def test_subscriptions_queries_and_mutations_run_over_one_socket(toy: Toy) -> None:
    async with connected(toy) as client:
        assert await client.run("1", "subscription { count(to: 2) }") == [
            {"type": "next", "payload": {"data": {"count": 0}}},
            {"type": "next", "payload": {"data": {"count": 1}}},
            {"type": "complete"},
        ]
        # The id is free again.
        assert await client.run("1", "{ hello }") == [
            {"type": "next", "payload": {"data": {"hello": "world"}}},
            {"type": "complete"},
        ]
        doubled = "mutation ($input: EchoInput!) { echo(input: $input) }"
        assert await client.run("2", doubled, input={"text": "ä😀", "count": 2}) == [
            {"type": "next", "payload": {"data": {"echo": "ä😀ä😀"}}},
            {"type": "complete"},
        ]


@pytest.mark.parametrize("offered", [None, ["graphql-ws"], ["graphql-ws", "chat"]])
async def test_other_subprotocols_are_closed_with_4406(toy: Toy, offered: list[str] | None) -> None:
    subprotocols = [Subprotocol(name) for name in offered] if offered else None
    async with opened(toy, subprotocols=subprotocols) as client:
        assert client.connection.subprotocol is None
        assert await client.closing() == (4406, "Subprotocol not acceptable")


async def test_ours_is_chosen_among_several(toy: Toy) -> None:
    async with opened(toy, subprotocols=[Subprotocol("graphql-ws"), PROTOCOL]) as client:
        assert client.connection.subprotocol == PROTOCOL


async def test_a_socket_without_init_is_closed_with_4408() -> None:
    async with serving(socket_limits=SocketLimits(init_timeout_s=0.1)) as toy:
        async with opened(toy) as client:
            assert (await client.closing())[0] == 4408
        async with connected(toy) as client:
            # Outlives the time-out, which is over for a socket that said hello.
            assert len(await client.run("1", "subscription { count(to: 1, everyS: 0.3) }")) == 2


async def test_subscribing_before_the_ack_is_closed_with_4401(toy: Toy) -> None:
    contexts = toy.bell.contexts
    async with opened(toy) as client:
        await client.subscribe("1", "{ hello }")
        assert await client.closing() == (4401, "Unauthorized")
    assert toy.bell.contexts == contexts


async def test_a_second_init_is_closed_with_4429(toy: Toy) -> None:
    async with connected(toy) as client:
        await client.send(INIT)
        assert await client.closing() == (4429, "Too many initialisation requests")


async def test_an_id_in_use_is_closed_with_4409_and_stops_what_runs(toy: Toy) -> None:
    closed = toy.bell.closed_streams
    async with connected(toy) as client:
        await client.subscribe("1", FOREVER)
        await client.subscribe("1", FOREVER)
        assert await client.closing() == (4409, "Subscriber for 1 already exists")
    await until(lambda: toy.bell.open_streams == 0)
    assert toy.bell.closed_streams <= closed + 1


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"a": [1]}}])
async def test_any_object_or_null_initialises(toy: Toy, payload: dict[str, object]) -> None:
    async with opened(toy) as client:
        await client.send({**INIT, **payload})
        assert await client.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize("payload", ["x", 1, [], True])
async def test_an_init_payload_of_another_type_is_closed_with_4400(toy: Toy, payload: object) -> None:
    async with opened(toy) as client:
        await client.send({**INIT, "payload": payload})
        assert (await client.closing())[0] == 4400


def subscribe(**changes: object) -> str:
    return json.dumps({"type": "subscribe", "id": "1", "payload": {"query": "{ hello }"}, **changes})


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not json",
        "null",
        "1",
        '"x"',
        "[]",
        "[" * 50_000,
        '{"type": ' + "9" * 10_000 + "}",
        "{}",
        '{"type": "start"}',
        '{"type": "next", "id": "1"}',
        '{"type": ["subscribe"]}',
        '{"type": "ping", "payload": 1}',
        '{"type": "pong", "payload": []}',
        '{"type": "complete"}',
        '{"type": "complete", "id": 1}',
        '{"type": "subscribe", "id": "1"}',
        subscribe(id=1),
        subscribe(id=""),
        subscribe(id=None),
        subscribe(id=["1"]),
        subscribe(id="x" * 1000),
        subscribe(payload="{ hello }"),
        subscribe(payload=None),
        subscribe(payload=[]),
        subscribe(payload={}),
        subscribe(payload={"query": 1}),
        subscribe(payload={"query": "{ hello }", "variables": []}),
        subscribe(payload={"query": "{ hello }", "variables": "x"}),
        subscribe(payload={"query": "{ hello }", "operationName": 1}),
        subscribe(payload={"query": "{ hello }", "extensions": 1}),
        b"\x00",
        json.dumps(INIT).encode(),
    ],
)
async def test_an_ill_formed_message_is_closed_with_4400(toy: Toy, frame: str | bytes) -> None:
    async with connected(toy) as client:
        await client.send(frame)
        assert (await client.closing())[0] == 4400


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ hello }", "operationName": "Nobody"}, "BAD_USER_INPUT"),
        ({"query": "fragment F on Query { hello }"}, "BAD_USER_INPUT"),
        ({"query": "query A { hello } query B { hello }"}, "BAD_USER_INPUT"),
        ({"query": "query ($t: String!) { echo(text: $t) }"}, "BAD_USER_INPUT"),
        ({"query": "subscription ($n: Int!) { count(to: $n) }"}, "BAD_USER_INPUT"),
        ({"query": ""}, "BAD_USER_INPUT"),
        ({"query": "{ hello }", "variables": {"a": "\ud800"}}, "BAD_USER_INPUT"),
    ],
)
async def test_a_faulty_operation_gets_an_error_and_the_socket_stays(
    toy: Toy, payload: dict[str, object], code: str
) -> None:
    async with connected(toy) as client:
        # Twice: the second time the document may come from the cache.
        for id_ in ("1", "2"):
            await client.send({"type": "subscribe", "id": id_, "payload": payload})
            answer = await client.receive()

            assert (answer["type"], answer["id"]) == ("error", id_)
            (error,) = answer["payload"]
            assert error["extensions"]["code"] == code
        assert len(await client.run("1", "{ hello }")) == 2


async def test_complete_stops_the_generator_and_nothing_more_comes(toy: Toy) -> None:
    closed = toy.bell.closed_streams
    async with connected(toy) as client:
        await client.subscribe("1", "subscription { count(to: 1000000, everyS: 0.01) }")
        assert (await client.receive())["type"] == "next"

        await client.send({"type": "complete", "id": "1"})
        await until(lambda: toy.bell.closed_streams == closed + 1)

        await client.send({"type": "complete", "id": "never seen"})
        await client.send({"type": "ping", "payload": {"n": 1}})
        messages = [await client.receive()]
        while messages[-1]["type"] != "pong":
            messages.append(await client.receive())
        assert "complete" not in [message["type"] for message in messages]
        assert messages[-1] == {"type": "pong", "payload": {"n": 1}}
        assert len(await client.run("1", "{ hello }")) == 2


@pytest.mark.parametrize("after", [0, 1])
async def test_what_fails_while_it_is_stopped_says_nothing_under_an_id_that_another_has(toy: Toy, after: int) -> None:
    async with connected(toy) as client:
        await client.subscribe("1", f"subscription {{ failWhenStopped(after: {after}) }}")
        await until(lambda: toy.bell.open_streams == 1)
        for _ in range(after):
            assert (await client.receive())["type"] == "next"

        await client.send({"type": "complete", "id": "1"})

        assert await client.run("1", "subscription { count(to: 1, everyS: 0.2) }") == [
            {"type": "next", "payload": {"data": {"count": 0}}},
            {"type": "complete"},
        ]


@pytest.mark.parametrize("way", ["close", "abort"])
async def test_a_socket_that_goes_away_stops_its_generators(toy: Toy, way: str) -> None:
    closed = toy.bell.closed_streams
    async with connected(toy) as client:
        for id_ in "12345":
            await client.subscribe(id_, FOREVER)
        await until(lambda: toy.bell.open_streams == 5)
        if way == "abort":
            client.connection.transport.abort()

    await until(lambda: toy.bell.closed_streams == closed + 5)
    assert toy.bell.open_streams == 0


async def test_a_socket_holds_twenty_operations_and_the_next_is_refused_alone(toy: Toy) -> None:
    async with connected(toy) as client:
        for n in range(21):
            await client.subscribe(str(n), FOREVER)
        refused = await client.receive()

        assert (refused["type"], refused["id"]) == ("error", "20")
        assert refused["payload"][0]["extensions"] == {"code": "RATE_LIMITED"}
        await until(lambda: toy.bell.open_streams == 20)
        await client.send({"type": "complete", "id": "0"})
        assert len(await client.run("20", "{ hello }")) == 2


async def test_the_server_pings(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(socket_limits=SocketLimits(ping_interval_s=0.05)) as toy,
        connected(toy) as client,
    ):
        await client.run("1", "subscription { count(to: 1, everyS: 0.3) }")
        assert client.pings >= 2


async def test_a_frame_beyond_the_limit_closes_the_socket(toy: Toy) -> None:
    async with connected(toy) as client:
        await client.send(subscribe(payload={"query": "{ hello }" + " " * 256 * 1024}))
        assert (await client.closing())[0] == 1009


async def test_each_operation_has_a_context_of_its_own_with_the_credentials_of_the_init(toy: Toy) -> None:
    contexts = toy.bell.contexts
    async with connected(toy, aUtHoRiZaTiOn="Bearer t") as client:
        for query in ("{ viewer }", "subscription { viewer }"):
            messages = await client.run("1", query)
            assert messages[0] == {"type": "next", "payload": {"data": {"viewer": "Bearer t"}}}
    assert toy.bell.contexts == contexts + 2


async def test_a_context_that_fails_fails_its_operation_only(toy: Toy) -> None:
    async with connected(toy, authorization="unauthenticated") as client:
        for id_ in ("1", "2"):
            (message,) = await client.run(id_, "{ hello }")
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
