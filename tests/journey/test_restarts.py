"""Servers that are killed, stopped and joined by others, on one data directory."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import WebSocketException

from kyrochat.db.embedded import EmbeddedPostgres
from tests.db.embedded.processes import is_alive, postmaster_of, rows, stop_what_is_left
from tests.fakes.gemini import API_KEY, FakeGemini, running_fake_gemini
from tests.fakes.gemini_steps import Finish, Hang, Text
from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import (
    ADD_TEXT,
    CASES,
    DEADLINE_S,
    DOCUMENTS,
    EVENTS,
    FINAL,
    STOP,
    UPLOAD,
    ask,
    check_log,
    new_bot,
    stored,
    until_read,
    watched,
)
from tests.server_process import Server, serving

WORDS = ("All men ", "are created ", "equal")
RESTARTED_WITHIN_S = 15


@pytest.fixture
def data_dir(tmp_path: Path) -> Generator[Path, None, None]:
    yield tmp_path / "data"
    stop_what_is_left(tmp_path / "data")


@pytest.fixture
async def gemini() -> AsyncGenerator[FakeGemini, None]:
    async with running_fake_gemini() as fake:
        yield fake


def through(gemini: FakeGemini) -> dict[str, str]:
    return {
        "KYROCHAT_GEMINI_API_KEY": API_KEY,
        "KYROCHAT_GEMINI_BASE_URL": gemini.url,
        # What it is asked is counted here.
        "KYROCHAT_GENERATED_TITLES": "off",
    }


async def seen_until_lost(user: GraphQLClient, answer_id: str, events: list[dict[str, Any]]) -> None:
    """Add to `events` what comes until the server is gone."""
    with suppress(WebSocketException, OSError):  # in the middle of a handshake, too
        async for event in user.watch(EVENTS, id=answer_id):
            events.append(event)


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event.get("text", "") for event in events)


@asynccontextmanager
async def lapsed_leases(data_dir: Path) -> AsyncGenerator[None, None]:
    """Let the half minute pass after which a dead process' work is taken over; PostgreSQL runs on meanwhile."""
    postgres = await asyncio.to_thread(EmbeddedPostgres.start, data_dir)
    try:
        await rows(
            postgres.urls.owner,
            "UPDATE answer_leases SET leased_until = now() - interval '1 second'",
            "UPDATE jobs SET leased_until = now() - interval '1 second' WHERE state = 'RUNNING'",
        )
        yield
    finally:
        await asyncio.to_thread(postgres.stop)


async def until_open(gemini: FakeGemini, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while gemini.open_streams < count:
            await asyncio.sleep(0.005)


async def text_until(user: GraphQLClient, answer_id: str, text: str) -> None:
    """Wait until a watcher has received so much."""
    received = ""
    async with asyncio.timeout(DEADLINE_S):
        async for event in user.watch(EVENTS, id=answer_id):
            received += event.get("text", "")
            if received == text:
                return
    raise AssertionError(f"{received!r} is not {text!r}")


async def ready(server: Server) -> dict[str, Any]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get(server.url + "/readyz")
    assert answer.status_code == 200
    result: dict[str, Any] = answer.json()
    return result


async def test_nothing_that_was_seen_is_lost_when_the_server_is_killed(data_dir: Path, gemini: FakeGemini) -> None:
    async with serving(data_dir, **through(gemini)) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        note = await user.run(ADD_TEXT, bot=bot_id, title="Note", text="We hold that all men are created equal.")
        await until_read(user, note["id"])
        done = await ask(user, bot_id, "A question that nothing answers: zxqv?")
        assert (await watched(user, done))[-1]["__typename"] == "AnswerCompleted"
        for _ in range(5):
            gemini.script(*(Text(word) for word in WORDS), Hang())
        answer_ids = [await ask(user, bot_id, "Are all men created equal?") for _ in range(5)]
        seen: dict[str, list[dict[str, Any]]] = {answer_id: [] for answer_id in [done, *answer_ids]}
        watching = [asyncio.create_task(seen_until_lost(user, *one)) for one in seen.items()]
        await until_open(gemini, 5)
        for answer_id in answer_ids:
            await text_until(user, answer_id, "".join(WORDS))
        uploaded = [await user.upload(UPLOAD, path.name, path.read_bytes(), bot=bot_id) for path in DOCUMENTS]

        await server.kill()

        await asyncio.wait(watching)
    async with (
        lapsed_leases(data_dir),
        serving(data_dir, **through(gemini)) as server,
        visiting(server.graphql_url) as visitor,
    ):
        user = GraphQLClient(server.graphql_url, visitor.http, user.token)
        print(f"\nready again {server.ready_s:.2f} s after the kill")
        assert server.ready_s < RESTARTED_WITHIN_S
        for answer_id, before in seen.items():
            after = await watched(user, answer_id)
            message = await stored(user, answer_id)
            check_log(after, message)
            assert after[: len(before)] == before
            if answer_id in answer_ids:
                assert (message["status"], message["grounded"]) == ("INTERRUPTED", None)
                assert message["text"] == "".join(WORDS)
        for document in uploaded:
            assert (await until_read(user, document["id"]))[-1]["status"] == "READY"
        gemini.answers.clear()
        again = await watched(user, await ask(user, bot_id, "Which truths are called self-evident?"))
        assert again[-1]["__typename"] == "AnswerCompleted"
        assert server.faults() == []


async def test_many_answers_survive_a_kill_in_the_middle_of_everything(data_dir: Path) -> None:
    """Without a model answers are quick: the kill falls somewhere among questions, answers and uploads."""
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        for path in DOCUMENTS[:3]:
            await user.upload(UPLOAD, path.name, path.read_bytes(), bot=bot_id)
        seen: dict[str, list[dict[str, Any]]] = {}
        uploaded = []

        async def chatter(place: int) -> None:
            with suppress(WebSocketException, OSError, httpx2.HTTPError):
                while True:
                    answer_id = await ask(user, bot_id, CASES[place % len(CASES)]["question"])
                    seen[answer_id] = []
                    await seen_until_lost(user, answer_id, seen[answer_id])

        talking = [asyncio.create_task(chatter(place)) for place in range(8)]
        async with asyncio.timeout(DEADLINE_S):
            while sum(bool(events) and events[-1]["__typename"] in FINAL for events in seen.values()) < 16:
                await asyncio.sleep(0.01)
        for path in DOCUMENTS[3:]:
            uploaded.append(await user.upload(UPLOAD, path.name, path.read_bytes(), bot=bot_id))
        await server.kill()
        await asyncio.wait(talking)
    for task in talking:
        task.result()
    async with lapsed_leases(data_dir), serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        user = GraphQLClient(server.graphql_url, visitor.http, user.token)
        statuses: dict[str, int] = {}
        for answer_id, after in zip(seen, await asyncio.gather(*(watched(user, one) for one in seen)), strict=True):
            message = await stored(user, answer_id)
            check_log(after, message)
            assert after[: len(seen[answer_id])] == seen[answer_id]
            statuses[message["status"]] = statuses.get(message["status"], 0) + 1
        for document in uploaded:
            assert (await until_read(user, document["id"]))[-1]["status"] == "READY"
        print(f"\nafter the kill: {statuses}")
        assert set(statuses) <= {"COMPLETED", "INTERRUPTED"}
        assert server.faults() == []


async def test_sigterm_ends_everything_in_order(data_dir: Path, gemini: FakeGemini) -> None:
    gemini.script(*(Text(word) for word in WORDS), Hang())
    async with serving(data_dir, **through(gemini)) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        note = await user.run(ADD_TEXT, bot=bot_id, title="Note", text="We hold that all men are created equal.")
        await until_read(user, note["id"])
        answer_id = await ask(user, bot_id, "Are all men created equal?")
        await text_until(user, answer_id, "".join(WORDS))
        over_socket: list[dict[str, Any]] = []
        watching = asyncio.create_task(seen_until_lost(user, answer_id, over_socket))
        async with user.http.stream(
            "POST",
            user.url,
            json={"query": EVENTS, "variables": {"id": answer_id}},
            headers={"Accept": "text/event-stream", **user.headers},
        ) as events:
            lines = events.aiter_lines()
            assert await anext(lines) == "event: next"
            async with asyncio.timeout(DEADLINE_S):
                while text_of(over_socket) != "".join(WORDS):
                    await asyncio.sleep(0.005)
            postmaster = postmaster_of(server.data_dir)

            began = time.monotonic()
            exit_code = await server.stop()

        await watching
        print(f"\nstopped in {time.monotonic() - began:.2f} s")
        assert exit_code == 0
        assert not is_alive(postmaster)
        assert not (server.data_dir / "postgres" / "postmaster.pid").exists()
        assert server.faults() == []
        assert text_of(over_socket) == "".join(WORDS)
        assert gemini.open_streams == 0


async def test_two_servers_share_a_data_directory(data_dir: Path, gemini: FakeGemini) -> None:
    """What one does the other shows at once, and either may go first."""
    gemini.script(*(Text(word) for word in WORDS), Hang())
    async with serving(data_dir, **through(gemini)) as first, visiting(first.graphql_url) as visitor:
        here = await register(visitor)
        bot_id = await new_bot(here)
        async with serving(data_dir, **through(gemini)) as second:
            print(f"\nfirst start {first.ready_s:.2f} s, second {second.ready_s:.2f} s")
            assert second.ready_s < RESTARTED_WITHIN_S
            assert await ready(second) == {"ready": True, "checks": {"database": "ok"}}
            there = here.at(second.graphql_url)
            note = await there.run(ADD_TEXT, bot=bot_id, title="Note", text="We hold that all men are created equal.")
            assert (await until_read(here, note["id"]))[-1]["status"] == "READY"

            answer_id = await ask(here, bot_id, "Are all men created equal?")
            await text_until(there, answer_id, "".join(WORDS))
            watching = asyncio.create_task(watched(there, answer_id))
            stopped = await there.run(STOP, id=answer_id)

            assert (stopped["status"], stopped["text"]) == ("STOPPED", "".join(WORDS))
            events = await watching
            assert events == await watched(here, answer_id)
            check_log(events, await stored(here, answer_id))
            async with asyncio.timeout(DEADLINE_S):
                while gemini.open_streams:
                    await asyncio.sleep(0.005)

            assert await first.stop() == 0
            assert (await ready(second))["ready"] is True
            gemini.script(Text("Yes."), Finish())
            last = await watched(there, await ask(there, bot_id, "Are all men created equal?"))
            assert last[-1]["__typename"] == "AnswerCompleted"
            assert await second.stop() == 0
            assert first.faults() == second.faults() == []
