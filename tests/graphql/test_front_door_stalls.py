"""Clients that stop reading: they must cost little, hold up nobody, and be cut in the end."""

import asyncio
import json

from kyrochat.graphql.limits import CostGuard
from kyrochat.graphql.transport.http_protocol import AbortingHTTP
from kyrochat.graphql.transport.ws_protocol import AbortingWS
from tests.graphql.front_door_toy import codes, serving, until
from tests.graphql.raw_client import frame, raw, raw_socket, subscribe, upgrade
from tests.graphql.socket_client import connected

BLOBS = "subscription { blobs(to: 100000, size: 20000) }"


class ImpatientWS(AbortingWS):
    stall_timeout_s = 0.3


class PatientWS(AbortingWS):
    stall_timeout_s = 100.0
    abort_after_s = 0.2


class ImpatientHTTP(AbortingHTTP):
    stall_timeout_s = 0.3


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
        raw_socket(toy.port) as client,
    ):
        await client.send(subscribe("1", BLOBS))
        await until(lambda: toy.bell.open_streams == 1)

        # While it stalls, others are served.
        assert len(await neighbour.run("1", "{ hello }")) == 2
        await until(lambda: toy.bell.closed_streams == 1)

        # Back-pressure: what it did not read was never made.
        assert toy.bell.ticks < 1_000
        assert len(toy.server.server_state.connections) == 1
        assert len(await neighbour.run("2", "{ hello }")) == 2


async def test_a_socket_that_answers_no_ping_is_cut_although_the_close_cannot_get_out() -> None:
    pings = {"ws_ping_interval": 0.1, "ws_ping_timeout": 0.2}
    async with serving({"ws": PatientWS, **pings}) as toy, raw(toy.port, upgrade()) as client:
        assert (await client.receive()).startswith(b"HTTP/1.1 101 ")
        await client.send(frame({"type": "connection_init"}) + subscribe("1", BLOBS))

        await until(lambda: toy.bell.closed_streams == 1)
        await until(lambda: not toy.server.server_state.connections)


async def test_an_event_stream_that_nobody_reads_is_cut() -> None:
    async with serving({"http": ImpatientHTTP}) as toy, raw(toy.port, post(BLOBS)):
        await until(lambda: toy.bell.open_streams == 1)
        await until(lambda: toy.bell.closed_streams == 1)

        assert toy.bell.ticks < 1_000
        await until(lambda: not toy.server.server_state.connections)


async def test_a_client_that_reads_slowly_is_left_alone() -> None:
    async with serving({"http": ImpatientHTTP}) as toy, raw(toy.port, post(BLOBS)) as client:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2
        while loop.time() < deadline:
            assert await client.receive(4096) != b""
            await asyncio.sleep(0.002)

        assert toy.bell.open_streams == 1
        assert toy.bell.ticks < 1_000


async def test_of_twenty_large_results_for_a_stalled_socket_one_is_made_and_then_all_the_others() -> None:
    async with serving({"ws": PatientWS}, extensions=[CostGuard]) as toy, raw_socket(toy.port) as client:
        for number in range(20):
            await client.send(subscribe(str(number), "{ big(size: 1000000) }"))
        await until(lambda: toy.bell.made)
        # Another operation is begun only when something is read, so that after many turns of the loop there is none.
        for _ in range(200):
            await asyncio.sleep(0)
        assert toy.bell.made == 1

        messages = [json.loads(message) for message in await client.messages(40)]

        assert toy.bell.made == 20
        assert sorted(int(message["id"]) for message in messages if message["type"] == "complete") == list(range(20))
        results = [message["payload"]["data"]["big"] for message in messages if message["type"] == "next"]
        assert results == ["x" * 1_000_000] * 20


async def test_a_stalled_socket_is_not_listened_to() -> None:
    async with serving({"ws": PatientWS}, extensions=[CostGuard]) as toy, raw_socket(toy.port) as client:
        contexts = toy.bell.contexts
        await client.send(subscribe("1", "{ big(size: 1000000) }"))
        await until(lambda: toy.bell.made)
        for number in range(2, 20):
            await client.send(subscribe(str(number), "{ hello }"))
        for _ in range(200):
            await asyncio.sleep(0)
        # Two at the most: one that was on its way.
        assert toy.bell.contexts <= contexts + 2

        await client.messages(40 - 2)
        assert toy.bell.contexts == contexts + 19


async def test_who_waits_for_something_slow_lets_others_go_ahead() -> None:
    async with serving(extensions=[CostGuard]) as toy, connected(toy) as client:
        # Heavier together than what may be made at a time, and all of them wait.
        for number in range(12):
            await client.subscribe(str(number), "{ hang }")
        await client.subscribe("next", "{ big(size: 3) }")

        assert (await asyncio.wait_for(client.receive(), 30))["payload"]["data"] == {"big": "xxx"}
        assert toy.bell.hanging == 12
    await until(lambda: toy.bell.cancelled == 12)


async def test_operations_may_hold_a_megabyte_together() -> None:
    async with serving() as toy, connected(toy) as client:
        for number in range(6):
            await client.subscribe(str(number), "{ hang } #" + "x" * 200_000)
        refused = await client.receive()

        assert (refused["id"], refused["type"]) == ("5", "error")
        assert codes({"errors": refused["payload"]}) == ["RATE_LIMITED"]
        assert toy.bell.hanging == 5
        # What is over holds nothing.
        await client.send({"type": "complete", "id": "0"})
        await until(lambda: toy.bell.hanging == 4)
        assert len(await client.run("6", "{ hello } #" + "x" * 200_000)) == 2
