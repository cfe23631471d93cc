"""A server whose database dies under it, or is away for a minute: it lives, says so, and goes on by itself."""

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.db.embedded.processes import postmaster_of, stop_what_is_left
from tests.graphql_client import GraphQLClient, Refused, register, visiting
from tests.journey.steps import ADD_TEXT, DOCUMENTS, UPLOAD, ask, check_log, new_bot, stored, until_read, watched
from tests.server_process import Server, serving

BACK_WITHIN_S = 20


@pytest.fixture
def data_dir(tmp_path: Path) -> Generator[Path, None, None]:
    yield tmp_path / "data"
    stop_what_is_left(tmp_path / "data")


async def probe(server: Server, path: str) -> int:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.get(server.url + path)).status_code


async def until_ready(server: Server) -> None:
    async with asyncio.timeout(BACK_WITHIN_S):
        while await probe(server, "/readyz") != 200:
            await asyncio.sleep(0.05)


async def codes_until_an_answer(user: GraphQLClient) -> list[str]:
    """Ask who we are until the server knows again; return what it said meanwhile."""
    codes: list[str] = []
    async with asyncio.timeout(BACK_WITHIN_S):
        while True:
            try:
                await user.run("{ me { id } }")
                return codes
            except Refused as refused:
                codes += refused.codes
                await asyncio.sleep(0.02)


async def test_an_embedded_database_that_is_killed_under_load_is_started_again_and_nothing_is_lost(
    data_dir: Path,
) -> None:
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        note = await user.run(ADD_TEXT, bot=bot_id, title="Note", text="We hold that all men are created equal.")
        await until_read(user, note["id"])
        answer_id = await ask(user, bot_id, "Are all men created equal?")
        await watched(user, answer_id)
        before = await stored(user, answer_id)
        uploaded = [await user.upload(UPLOAD, path.name, path.read_bytes(), bot=bot_id) for path in DOCUMENTS]

        os.kill(postmaster_of(data_dir), signal.SIGKILL)
        codes = await codes_until_an_answer(user)
        await until_ready(server)

        print(f"\nmeanwhile: {len(codes)} refusals")
        assert set(codes) <= {"OVERLOADED"}
        assert server.process.returncode is None
        assert await stored(user, answer_id) == before
        for document in uploaded:
            last = (await until_read(user, document["id"]))[-1]
            assert last["status"] == "READY", last["failure"]
        again = await ask(user, bot_id, "Are all men created equal?")
        check_log(await watched(user, again), await stored(user, again))
        # One line says that it has died; nothing else is a fault.
        assert [line for line in server.faults() if "has died" not in line] == []
        assert await server.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_database_that_is_away_for_a_minute_is_waited_for(data_dir: Path) -> None:
    """Stopped where it stands, it answers nothing and refuses nothing: the worst way to be away."""
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        uploaded = [await user.upload(UPLOAD, path.name, path.read_bytes(), bot=bot_id) for path in DOCUMENTS]
        children = stop_the_world(data_dir)
        resident = memory_of(server)
        alive: list[int] = []
        waiting: list[asyncio.Task[Any]] = []
        try:
            for _ in range(30):
                alive.append(await probe(server, "/livez"))
                waiting.append(asyncio.create_task(user.answer("{ me { id } }")))
                await asyncio.sleep(2)
            not_ready = await probe(server, "/readyz")
        finally:
            for child in children:
                os.kill(child, signal.SIGCONT)
        with suppress(Refused):
            await codes_until_an_answer(user)
        await until_ready(server)
        answers = await asyncio.gather(*waiting, return_exceptions=True)

        assert set(alive) == {200}
        assert not_ready == 503
        assert memory_of(server) - resident < 64 * 2**20
        refused = [answer for answer in answers if isinstance(answer, dict) and "errors" in answer]
        assert {error["extensions"]["code"] for answer in refused for error in answer["errors"]} <= {
            "OVERLOADED",
            "TIMED_OUT",
        }
        for document in uploaded:
            assert (await until_read(user, document["id"]))[-1]["status"] == "READY"
        assert server.faults() == []
        assert await server.stop() == 0


def stop_the_world(data_dir: Path) -> list[int]:
    """Stop PostgreSQL and all its processes; return them."""
    postmaster = postmaster_of(data_dir)
    processes = [postmaster]
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if f"PPid:\t{postmaster}\n" in status.read_text():
                processes.append(int(status.parent.name))
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    return processes


def memory_of(server: Server) -> int:
    """The server's resident memory in bytes."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
