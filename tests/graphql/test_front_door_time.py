"""Operations end: after their time, and with the client that waits for them; so does what they asked the database."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.graphql.limits import CostGuard
from kyrochat.graphql.schema import build_schema
from kyrochat.graphql.transport.time_limit import OPERATION_LIMIT_S
from tests.graphql.front_door_toy import Toy, codes, serving, until
from tests.graphql.socket_client import connected, events_of

OPERATIONS = ["{ hang }", "mutation { hang }"]
STATEMENTS = ["{ sleepInDatabase }", "mutation { sleepInDatabase }"]
NEW = "application/graphql-response+json"


@asynccontextmanager
async def hurried(**options: Any) -> AsyncGenerator[Toy, None]:
    async with serving(extensions=[CostGuard], time_limit_s=0.2, **options) as toy:
        yield toy


async def running_statements(urls: DatabaseUrls) -> list[tuple[str, str]]:
    """Return (state, query) of what other connections to the test's database do."""
    # Under the same role: what others do is hidden.
    looking = open_database(urls.app, pool_size=1)
    async with looking.begin() as session:
        rows = await (await session.connection()).execute(
            text(
                "SELECT state, query FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
        )
        found = [(row.state, row.query) for row in rows]
    await looking.close()
    return found


async def until_statements(urls: DatabaseUrls, count: int) -> None:
    """Wait until so many sleep, and until no other transaction is under way."""
    async with asyncio.timeout(30):
        while sorted("pg_sleep" in query for _, query in await running_statements(urls)) != [True] * count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("query", OPERATIONS)
@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), (NEW, 503)])
async def test_an_operation_that_takes_too_long_is_cancelled_and_says_so(query: str, accept: str, status: int) -> None:
    async with hurried() as toy:
        answer = await toy.post({"query": query}, accept=accept)

        assert (answer.status_code, codes(answer.json())) == (status, ["TIMED_OUT"])
        assert "data" not in answer.json()
        assert answer.json()["errors"][0]["message"] == (
            "This took longer than 0.2 s and was cancelled. Ask for less at once."
        )
        assert (toy.bell.hanging, toy.bell.cancelled) == (0, 1)
        assert await toy.run("{ viewer }") == {
            "data": {"viewer": None},
            "extensions": {"cost": {"requested": 0, "maximum": 5_000}},
        }


@pytest.mark.parametrize("query", OPERATIONS)
async def test_the_limit_holds_on_sockets_and_event_streams_too(query: str) -> None:
    async with hurried() as toy, connected(toy) as client:
        (over_socket,) = await client.run("1", query)
        over_events = await toy.post({"query": query}, accept="text/event-stream")

        assert (over_socket["type"], codes({"errors": over_socket["payload"]})) == ("error", ["TIMED_OUT"])
        (name, payload), end = events_of(over_events.text)
        assert (name, codes(payload), end) == ("next", ["TIMED_OUT"], ("complete", None))
        assert (toy.bell.hanging, toy.bell.cancelled) == (0, 2)
        assert (await client.run("1", "{ hello }"))[0]["payload"]["data"] == {"hello": "world"}


async def test_subscriptions_may_take_as_long_as_they_like() -> None:
    async with hurried() as toy, connected(toy) as client:
        query = "subscription { count(to: 3, everyS: 0.15) }"
        assert len(await client.run("1", query)) == 4
        assert len(events_of((await toy.post({"query": query}, accept="text/event-stream")).text)) == 4


async def test_time_in_the_queue_of_a_socket_does_not_count() -> None:
    async with serving(extensions=[CostGuard], time_limit_s=1.5) as toy, connected(toy) as client:
        # A large one has the turn for a second, until its patience is over.
        await client.subscribe("first", "{ hang big(size: 1) }")
        await until(lambda: toy.bell.hanging)
        await client.subscribe("second", "{ big(size: 1) }")

        messages = [await client.receive() for _ in range(3)]

        by_id = {message["id"]: message for message in messages if message["type"] != "complete"}
        assert by_id["second"]["payload"]["data"] == {"big": "x"}
        assert codes({"errors": by_id["first"]["payload"]}) == ["TIMED_OUT"]


def test_the_server_gives_each_operation_half_a_minute() -> None:
    assert OPERATION_LIMIT_S == 30
    assert build_schema().time_limit_s == OPERATION_LIMIT_S


@pytest.mark.parametrize("query", STATEMENTS)
async def test_the_statement_of_an_operation_that_took_too_long_is_cancelled(
    query: str, database: Database, urls: DatabaseUrls
) -> None:
    async with serving(extensions=[CostGuard], time_limit_s=2) as toy:
        toy.bell.database = database
        asking = [asyncio.create_task(toy.run(query)) for _ in range(3)]
        await until_statements(urls, 3)
        answers = await asyncio.gather(*asking)

        assert [codes(answer) for answer in answers] == [["TIMED_OUT"]] * 3
        await until_statements(urls, 0)
        assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("query", STATEMENTS)
@pytest.mark.parametrize("way", ["http", "events", "socket"])
async def test_a_client_that_leaves_takes_its_operation_and_its_statement_along(
    query: str, way: str, database: Database, urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(extensions=[CostGuard]) as toy:
        toy.bell.database = database
        if way == "socket":
            async with connected(toy) as client:
                await client.subscribe("1", query)
                await until_statements(urls, 1)
        else:
            headers = {"accept": "text/event-stream"} if way == "events" else {}
            asking = asyncio.create_task(toy.post({"query": query}, **headers))
            await until_statements(urls, 1)
            asking.cancel()

        await until_statements(urls, 0)
        await until(lambda: database.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("query", OPERATIONS)
async def test_an_answer_that_nobody_waits_for_is_not_made(query: str) -> None:
    async with serving() as toy:
        for times in range(1, 4):
            with pytest.raises(httpx2.ReadTimeout):
                async with httpx2.AsyncClient(timeout=0.1) as client:
                    await client.post(toy.url, json={"query": query})
            await until(lambda times=times: toy.bell.cancelled == times)  # type: ignore[misc]
        assert toy.bell.hanging == 0
