"""`kyrochat eval --url`: a server that limits, refuses and goes away."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kyrochat.errors import RateLimited
from kyrochat.evaluation.remote import MAX_WAITS, RemoteAsker, open_server
from kyrochat.evaluation.run_files import read_run
from kyrochat.evaluation.types import Question
from tests.fakes.serving import serving
from tests.test_cli import run

PASSAGE = {"text": "A pond has ducks.", "score": 0.5, "document": {"id": "1", "title": "Pond", "url": None}}


@dataclass
class Server:
    """A server with one bot; it refuses questions in which it reads so, and limits the first `limited` searches."""

    url: str = ""
    limited: int = 0
    retry_after_s: float = 0.01
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: Request) -> JSONResponse:
        variables = (await request.json())["variables"]
        if "query" not in variables:
            page = {"nodes": [{"id": "b", "name": "Ponds"}], "pageInfo": {"hasNextPage": False, "endCursor": None}}
            return JSONResponse({"data": {"bots": page}})
        self.asked.append(variables["query"])
        if len(self.asked) <= self.limited:
            return refusal("Too many.", code="RATE_LIMITED", retryAfterSeconds=self.retry_after_s)
        if "refuse" in variables["query"]:
            return refusal("The documents could not be searched.")
        return JSONResponse({"data": {"search": [PASSAGE]}})


def refusal(message: str, **extensions: Any) -> JSONResponse:
    return JSONResponse({"data": None, "errors": [{"message": message, "extensions": extensions}]})


@asynccontextmanager
async def running_server(**options: Any) -> AsyncGenerator[Server, None]:
    fake = Server(**options)
    async with serving(Starlette(routes=[Route("/graphql", fake.handle, methods=["POST"])])) as url:
        fake.url = url
        yield fake


def written(path: Path, *questions: str) -> Path:
    path.write_text("".join(json.dumps({"question": text, "documents": ["Pond"]}) + "\n" for text in questions))
    return path


async def test_a_question_that_fails_is_told_and_the_others_are_measured(tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    questions = written(tmp_path / "set.jsonl", "What has ducks?", "Do refuse this", "Who has ducks?")
    async with running_server(limited=2) as server:
        done = await asyncio.to_thread(
            run, "eval", "Ponds", questions, "--url", server.url, "--save", saved, "--fail-under", "mrr=1"
        )

    assert done.returncode == 1
    assert "Note: Not asked: 'Do refuse this': The server refuses: The documents could not be searched." in done.stdout
    assert done.stderr == "Error: 1 of 3 questions could not be asked, and are in no figure.\n"
    assert [(each.question.text, each.measures["mrr"]) for each in read_run(saved).results] == [
        ("What has ducks?", 1.0),
        ("Who has ducks?", 1.0),
    ]
    assert server.asked == ["What has ducks?"] * 3 + ["Do refuse this", "Who has ducks?"]


async def test_after_failures_in_a_row_no_more_is_asked_and_what_was_found_is_kept(tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    some = written(tmp_path / "some.jsonl", "What has ducks?", *(f"Do refuse {number}" for number in range(20)))
    none = written(tmp_path / "none.jsonl", *(f"Do refuse {number}" for number in range(20)))
    async with running_server() as server:
        done = await asyncio.to_thread(run, "eval", "Ponds", some, "--url", server.url, "--save", saved)
        asked = len(server.asked)
        nothing = await asyncio.to_thread(run, "eval", "Ponds", none, "--url", server.url)

    assert (done.returncode, asked, len(read_run(saved).results)) == (1, 6, 1)
    assert done.stderr == "Error: 20 of 21 questions could not be asked, and are in no figure.\n"
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == "Error: The server refuses: The documents could not be searched.\n"


@pytest.mark.parametrize(("retry_after_s", "waits"), [(7.0, MAX_WAITS), (3_600.0, 0)])
async def test_a_limit_is_waited_for_as_long_as_anybody_has_time(retry_after_s: float, waits: int) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with running_server(limited=100, retry_after_s=retry_after_s) as fake, open_server(fake.url, "") as server:
        with pytest.raises(RateLimited):
            await RemoteAsker(server, "b", sleep=sleep).ask(Question("1", "What has ducks?", ("Pond",)))

    assert waited == [retry_after_s] * waits
    assert len(fake.asked) == waits + 1
