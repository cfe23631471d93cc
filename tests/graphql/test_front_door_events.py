import asyncio
import logging
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from tests.graphql.front_door_toy import Toy, codes, serving, until
from tests.graphql.socket_client import events_of

EVENTS = "text/event-stream"
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def toy() -> AsyncIterator[Toy]:
    async with serving(keep_alive_s=0.05) as toy:
        yield toy


async def test_a_subscription_is_a_stream_of_next_events_and_one_complete(toy: Toy) -> None:
    answer = await toy.post({"query": "subscription { count(to: 2) }"}, accept=EVENTS)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in answer.headers["cache-control"]
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text == (
        'event: next\ndata: {"data":{"count":0}}\n\n'
        'event: next\ndata: {"data":{"count":1}}\n\n'
        "event: complete\ndata: \n\n"
    )


@pytest.mark.parametrize(
    ("query", "data"),
    [("{ hello }", {"hello": "world"}), ('mutation { echo(input: {text: "ä"}) }', {"echo": "ä"})],
)
async def test_queries_and_mutations_work_over_events_too(toy: Toy, query: str, data: dict[str, str]) -> None:
    answer = await toy.post({"query": query}, accept=EVENTS)
    assert events_of(answer.text) == [("next", {"data": data}), ("complete", None)]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
    ],
)
async def test_a_request_error_ends_the_stream_in_order(toy: Toy, query: str, code: str) -> None:
    # Twice: the second time the document may come from the cache.
    for _ in range(2):
        answer = await toy.post({"query": query}, accept=EVENTS)

        (name, payload), end = events_of(answer.text)
        assert (name, codes(payload), end) == ("next", [code], ("complete", None))
        assert "data" not in payload


async def test_a_malformed_body_is_a_json_error_before_any_stream(toy: Toy) -> None:
    answer = await toy.post(b"[]", accept=EVENTS)
    assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])


async def test_a_subscription_as_plain_post_is_told_what_it_needs(toy: Toy) -> None:
    for accept in ("*/*", "application/json", "application/graphql-response+json"):
        answer = await toy.post({"query": "subscription { count(to: 1) }"}, accept=accept)

        assert (answer.status_code, codes(answer.json())) == (400, ["SUBSCRIPTION_NEEDS_STREAM"])
        assert "graphql-transport-ws" in answer.json()["errors"][0]["message"]
        assert "Accept: text/event-stream" in answer.json()["errors"][0]["message"]
    assert toy.bell.open_streams == 0


async def test_a_client_that_takes_both_gets_json_for_queries_and_events_for_subscriptions(toy: Toy) -> None:
    query = await toy.post({"query": "{ hello }"}, accept=URQL)
    subscription = await toy.post({"query": "subscription { count(to: 1) }"}, accept=URQL)

    assert query.headers["content-type"].startswith("application/graphql-response+json")
    assert events_of(subscription.text) == [("next", {"data": {"count": 0}}), ("complete", None)]


async def test_comments_keep_a_silent_stream_alive(toy: Toy) -> None:
    answer = await toy.post({"query": "subscription { count(to: 1, everyS: 0.3) }"}, accept=EVENTS)

    assert answer.text.count(": keep-alive\n\n") >= 2
    assert events_of(answer.text) == [("next", {"data": {"count": 0}}), ("complete", None)]


async def test_a_client_that_leaves_closes_the_generator_without_a_word_in_the_log(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    closed = toy.bell.closed_streams
    body = {"query": "subscription { count(to: 1000000, everyS: 0.01) }"}
    async with (
        httpx2.AsyncClient() as client,
        client.stream("POST", toy.url, json=body, headers={"accept": EVENTS}) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data"):
                break

    await until(lambda: toy.bell.closed_streams == closed + 1)
    assert toy.bell.open_streams == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_leaves_while_nothing_happens_closes_the_generator_too(toy: Toy) -> None:
    closed = toy.bell.closed_streams
    body = {"query": "subscription { count(to: 1, everyS: 100) }"}
    async with (
        httpx2.AsyncClient() as client,
        client.stream("POST", toy.url, json=body, headers={"accept": EVENTS}),
    ):
        await until(lambda: toy.bell.open_streams == 1)

    await until(lambda: toy.bell.closed_streams == closed + 1)


async def test_ending_all_streams_closes_them_without_complete_so_that_clients_come_back() -> None:
    async with serving() as toy:
        body = {"query": "subscription { count(to: 1, everyS: 100) }"}
        waiting = asyncio.create_task(toy.post(body, accept=EVENTS))
        await until(lambda: toy.bell.open_streams == 1)

        toy.view.end_streams()

        answer = await asyncio.wait_for(waiting, 30)
        assert (events_of(answer.text), toy.bell.closed_streams) == ([], 1)
