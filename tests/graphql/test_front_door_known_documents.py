"""Documents that clients name by their hash, on every transport."""

import hashlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest

from kyrochat.graphql.transport.known_documents import KnownDocuments
from tests.graphql.front_door_toy import Toy, codes, serving
from tests.graphql.socket_client import connected, events_of

ECHO = "query ($t: String!) { echo(text: $t) }"
COUNT = "subscription { count(to: 2) }"
CHANGE = 'mutation { echo(input: {text: "x"}) }'
UNKNOWN = "0" * 64
NO_HASHES: list[object] = [None, 7, "x", []]
NO_HANDSHAKES: list[object] = ["x", 7, [], {}]


def sha(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()


KNOWN = {sha(document): document for document in (ECHO, COUNT, CHANGE)}


async def find(sha256: str) -> str | None:
    return KNOWN.get(sha256)


@pytest.fixture(scope="module")
async def toy() -> AsyncGenerator[Toy, None]:
    async with serving(get_queries=True, known_documents=KnownDocuments(find)) as toy:
        yield toy


@pytest.fixture(scope="module")
async def closed() -> AsyncGenerator[Toy, None]:
    async with serving(get_queries=True, known_documents=KnownDocuments(find, is_closed=True)) as toy:
        yield toy


def handshake(sha256: object, **more: object) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256}}, **more}


@pytest.mark.parametrize(
    "named",
    [
        {"documentId": f"sha256:{sha(ECHO)}"},
        {"documentId": sha(ECHO).upper()},
        {"documentId": sha(ECHO), "query": ECHO},
        handshake(sha(ECHO)),
        handshake(sha(ECHO), query=ECHO),
    ],
    ids=["id", "digits-only", "id-and-text", "persisted-query", "persisted-query-and-text"],
)
async def test_a_known_document_runs_by_its_hash(toy: Toy, closed: Toy, named: dict[str, Any]) -> None:
    for server in (toy, closed):
        answer = await server.post({**named, "variables": {"t": "hi"}})

        assert (answer.status_code, answer.json()) == (200, {"data": {"echo": "hi"}})


async def test_it_runs_over_get_with_variables_and_mutations_do_not(toy: Toy) -> None:
    async with httpx2.AsyncClient() as client:
        by_id = await client.get(toy.url, params={"documentId": sha(ECHO), "variables": '{"t": "hi"}'})
        by_extension = await client.get(
            toy.url, params={"extensions": json.dumps(handshake(sha(ECHO))["extensions"]), "variables": '{"t": "ho"}'}
        )
        changed = await client.get(toy.url, params={"documentId": sha(CHANGE)})

    assert (by_id.json(), by_extension.json()) == ({"data": {"echo": "hi"}}, {"data": {"echo": "ho"}})
    assert (changed.status_code, changed.headers["allow"]) == (405, "POST")


async def test_it_runs_on_sockets_and_as_an_event_stream(toy: Toy, closed: Toy) -> None:
    for server in (toy, closed):
        async with connected(server) as socket:
            payload = {"documentId": sha(COUNT)}
            await socket.send({"type": "subscribe", "id": "1", "payload": payload})
            messages = [await socket.receive() for _ in range(3)]
        assert [message["type"] for message in messages] == ["next", "next", "complete"]
        assert [message["payload"]["data"] for message in messages[:2]] == [{"count": 0}, {"count": 1}]

        stream = await server.post({"documentId": sha(COUNT)}, accept="text/event-stream")
        counted = [("next", {"data": {"count": number}}) for number in range(2)]
        assert events_of(stream.text) == [*counted, ("complete", None)]


async def test_an_unknown_one_is_told_and_the_socket_lives(toy: Toy) -> None:
    by_id = await toy.post({"documentId": UNKNOWN})
    async with connected(toy) as socket:
        await socket.send({"type": "subscribe", "id": "1", "payload": {"documentId": UNKNOWN}})
        refused = await socket.receive()
        still_there = await socket.run("2", "{ hello }")

    assert by_id.status_code == 400
    assert codes(by_id.json()) == ["PERSISTED_QUERY_NOT_FOUND"]
    assert "kyrochat documents register" in by_id.json()["errors"][0]["message"]
    assert refused == {"type": "error", "id": "1", "payload": by_id.json()["errors"]}
    assert still_there[0]["payload"] == {"data": {"hello": "world"}}


async def test_clients_that_send_the_hash_first_hear_the_words_that_they_wait_for(toy: Toy, closed: Toy) -> None:
    asked = await toy.post(handshake(UNKNOWN))
    # Where nothing else is run, sending the text would be of no use.
    refused = await closed.post(handshake(UNKNOWN))

    assert asked.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert "kyrochat documents register" in refused.json()["errors"][0]["message"]
    assert codes(asked.json()) == codes(refused.json()) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_a_text_that_is_not_that_of_its_id_is_refused(toy: Toy, closed: Toy) -> None:
    for server in (toy, closed):
        answer = await server.post({"documentId": sha(ECHO), "query": "{ hello }"})

        assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])


@pytest.mark.parametrize(
    "named",
    [{"documentId": 7}, {"documentId": "md5:1"}, {"documentId": sha(ECHO)[:-1]}, {"documentId": "é" * 64}]
    + [handshake(bad) for bad in NO_HASHES]
    + [{"extensions": {"persistedQuery": bad}} for bad in NO_HANDSHAKES],
)
async def test_what_is_no_hash_is_said_to_be_none(toy: Toy, named: dict[str, Any]) -> None:
    answer = await toy.post(named)

    assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])


async def test_a_closed_server_runs_nothing_else_on_any_transport(closed: Toy) -> None:
    foreign = "{ hello }"

    posted = await closed.post({"query": foreign})
    streamed = await closed.post({"query": "subscription { count(to: 3) }"}, accept="text/event-stream")
    async with httpx2.AsyncClient() as client:
        got = await client.get(closed.url, params={"query": foreign})
    async with connected(closed) as socket:
        answers = [await socket.run("1", foreign), await socket.run("2", "subscription { count(to: 3) }")]

    for response in (posted, streamed, got):
        assert (response.status_code, codes(response.json())) == (403, ["PERSISTED_QUERY_ID_REQUIRED"])
    assert [[m["type"] for m in messages] for messages in answers] == [["error"], ["error"]]
    # They were not even parsed.
    assert foreign not in closed.cache._entries


async def test_a_closed_server_runs_a_known_text_without_its_id(closed: Toy) -> None:
    assert await closed.run(ECHO, t="x") == {"data": {"echo": "x"}}
