"""Gemini on the wire: the real SDK talks to it, and a test says beforehand what it does.

async with running_fake_gemini() as fake:
    fake.script(Text("Hel"), Wait(event), Text("lo."), Finish())   # the next answer, later ones queue up
    ...
    assert fake.open_streams == 0
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, assert_never

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.fakes import gemini_steps as steps
from tests.fakes.gemini_requests import Refused, check_answer_request, check_embedding_request, vector_of
from tests.fakes.serving import serving

API_KEY = "fake-gemini-key"
DEFAULT_ANSWER: tuple[steps.Step, ...] = (steps.Text("The fake "), steps.Text("answers."), steps.Finish())


@dataclass
class Recorded:
    """One request. `closed` is set once it is over; `abandoned` if the client ended it."""

    api_version: str
    method: str
    model: str
    body: dict[str, Any]
    headers: Mapping[str, str]
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = False


@dataclass
class FakeGemini:
    """`requests` are all that were understood, oldest first; `complaints` why others were refused.

    A request that holds `unscripted`, such as one for a title, gets the default answer: scripts are for the others.
    """

    url: str = ""
    unscripted: str = ""
    api_key: str = API_KEY
    requests: list[Recorded] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    open_streams: int = 0
    answers: deque[tuple[steps.Step, ...]] = field(default_factory=deque)
    embeddings: deque[tuple[steps.Step, ...]] = field(default_factory=deque)
    # What is answered to a request without a script of its own.
    answer_to: Callable[[dict[str, Any]], tuple[steps.Step, ...]] = lambda _: DEFAULT_ANSWER

    def script(self, *answer: steps.Step) -> None:
        """Answer the next request that has no script yet like this; without any step, with an empty stream."""
        self.answers.append(answer)

    def script_embeddings(self, *answer: steps.Step) -> None:
        """Answer the next request for embeddings like this rather than with vectors of the texts' words."""
        self.embeddings.append(answer)

    def reset(self) -> None:
        """Forget scripts, requests and complaints."""
        self.api_key = API_KEY
        for memory in (self.requests, self.complaints, self.answers, self.embeddings):
            memory.clear()

    async def handle(self, request: Request) -> Response:
        model, _, method = request.path_params["call"].rpartition(":")
        if request.headers.get("x-goog-api-key") != self.api_key:
            return _error_response(steps.KEY_INVALID)
        try:
            return await self._accept(request, model, method)
        except (Refused, ValidationError, json.JSONDecodeError) as refusal:
            self.complaints.append(f"{method}: {refusal}")
            return _error_response(steps.HttpError(400, "INVALID_ARGUMENT", str(refusal)))

    async def _accept(self, request: Request, model: str, method: str) -> Response:
        body = json.loads(await request.body())
        recorded = Recorded(request.path_params["version"], method, model, body, dict(request.headers))
        if method == "streamGenerateContent" and request.query_params.get("alt") == "sse":
            check_answer_request(body)
            self.requests.append(recorded)
            is_other = bool(self.unscripted) and self.unscripted in json.dumps(body)
            script = self.answers.popleft() if self.answers and not is_other else self.answer_to(body)
            return ScriptedResponse(self, recorded, script, "text/event-stream")
        if method == "batchEmbedContents":
            texts, dimensions = check_embedding_request(model, body)
            self.requests.append(recorded)
            vectors = steps.Vectors([vector_of(text, dimensions) for text in texts])
            script = self.embeddings.popleft() if self.embeddings else (vectors,)
            return ScriptedResponse(self, recorded, script, "application/json")
        raise Refused("there is no such method.")


def _error_response(error: steps.HttpError) -> Response:
    media_type = "application/json" if error.html is None else "text/html"
    return Response(error.body, error.code, media_type=media_type)


class ScriptedResponse(Response):
    """Plays a script, and stops when the client goes away."""

    def __init__(self, fake: FakeGemini, recorded: Recorded, script: tuple[steps.Step, ...], media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self.fake, self.recorded, self.script = fake, recorded, script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.fake.open_streams += 1
        playing = asyncio.create_task(self._play(scope, receive, send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            self.recorded.abandoned = not playing.done()
        finally:
            for task in (playing, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self.fake.open_streams -= 1
            self.recorded.closed.set()

    async def _play(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def write(content: bytes, *, more: bool = True) -> None:
            nonlocal started
            if not started:
                started = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": content, "more_body": more})

        for step in self.script:
            match step:
                case steps.Raw(content):
                    await write(content)
                case steps.Text() | steps.Call() | steps.Finish() | steps.BlockedPrompt() | steps.InBandError():
                    await write(steps.sse(step.event))
                case steps.Vectors(vectors):
                    await write(json.dumps({"embeddings": [{"values": vector} for vector in vectors]}).encode())
                case steps.HttpError():
                    await _error_response(step)(scope, receive, send)
                    return
                case steps.Wait(event):
                    await event.wait()
                case steps.After(seconds):
                    await asyncio.sleep(seconds)
                case steps.Hang():
                    await asyncio.Event().wait()
                case steps.Cut():
                    # uvicorn drops the connection of an app that returns without having finished; nothing at
                    # all would make it send a 500, so there is at least a head.
                    if not started:
                        await write(b"")
                    return
                case _:
                    assert_never(step)
        await write(b"", more=False)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def running_fake_gemini() -> AsyncGenerator[FakeGemini, None]:
    """Serve one on a free port. Ends with an assertion if it was sent anything that Gemini would not take."""
    fake = FakeGemini()
    app = Starlette(routes=[Route("/{version}/models/{call:path}", fake.handle, methods=["POST"])])
    async with serving(app) as url:
        fake.url = url
        yield fake
    assert fake.complaints == []
