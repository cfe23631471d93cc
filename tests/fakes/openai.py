"""A server with OpenAI's chat API on the wire: the real SDK talks to it, and a test says beforehand what it does."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, assert_never

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.fakes import openai_steps as steps
from tests.fakes.serving import serving

API_KEY = "fake-openai-key"
DEFAULT_ANSWER: tuple[steps.Step, ...] = (steps.Text("The fake "), steps.Text("answers."), steps.Finish())
_FIELDS = {
    "model", "messages", "stream", "stream_options", "temperature", "max_tokens", "max_completion_tokens", "tools",
    "tool_choice",
}  # fmt: skip


class Refused(Exception):
    """Such a server would answer 400 to this request."""


@dataclass
class Recorded:
    """One request. `closed` is set once it is over; `abandoned` if the client ended it."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = False


@dataclass
class FakeOpenAI:
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

    def script(self, *answer: steps.Step) -> None:
        """Answer the next request that has no script yet like this; without any step, with an empty stream."""
        self.answers.append(answer)

    def reset(self) -> None:
        """Forget scripts, requests and complaints."""
        self.api_key = API_KEY
        for memory in (self.requests, self.complaints, self.answers):
            memory.clear()

    async def handle(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return _error_response(steps.HttpError(401, "invalid_api_key", f"Incorrect: {request.headers}"))
        try:
            body = json.loads(await request.body())
            _check(body)
        except (Refused, ValueError, KeyError) as refusal:
            self.complaints.append(str(refusal))
            return _error_response(steps.HttpError(400, message=str(refusal)))
        recorded = Recorded(body, dict(request.headers))
        self.requests.append(recorded)
        is_other = bool(self.unscripted) and self.unscripted in json.dumps(body)
        script = self.answers.popleft() if self.answers and not is_other else DEFAULT_ANSWER
        return ScriptedResponse(self, recorded, script)


def _check(body: dict[str, Any]) -> None:
    if unknown := body.keys() - _FIELDS:
        raise Refused(f"unknown fields: {sorted(unknown)}.")
    if not body["stream"] or not body["model"]:
        raise Refused("this fake streams, and wants to know the model.")
    open_calls: set[str] = set()
    for number, message in enumerate(body["messages"]):
        role, content = message["role"], message.get("content")
        if (role == "system") != (number == 0) or role not in ("system", "user", "assistant", "tool"):
            raise Refused(f"message {number} cannot be of the role {role}.")
        if not content and "tool_calls" not in message:
            raise Refused(f"message {number} has no content.")
        if role == "tool":
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            raise Refused(f"calls without a result: {sorted(open_calls)}.")
        for call in message.get("tool_calls", ()):
            json.loads(call["function"]["arguments"])
            open_calls.add(call["id"])
    if open_calls or body["messages"][-1]["role"] not in ("user", "tool"):
        raise Refused("the last message must be a question or a result.")
    for tool in body.get("tools", ()):
        if tool["type"] != "function" or tool["function"]["parameters"]["type"] != "object":
            raise Refused("a tool is a function with an object of parameters.")


def _error_response(error: steps.HttpError) -> Response:
    media_type = "application/json" if error.html is None else "text/html"
    return Response(error.body, error.status, error.headers, media_type=media_type)


class ScriptedResponse(Response):
    """Plays a script, and stops when the client goes away."""

    def __init__(self, fake: FakeOpenAI, recorded: Recorded, script: tuple[steps.Step, ...]) -> None:
        super().__init__(media_type="text/event-stream")
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

        with_usage = "stream_options" in self.recorded.body
        for step in self.script:
            match step:
                case steps.Finish():
                    await write(step.content(with_usage=with_usage))
                case steps.Raw() | steps.Text() | steps.Call() | steps.InBandError():
                    await write(step.content)
                case steps.HttpError():
                    await _error_response(step)(scope, receive, send)
                    return
                case steps.Wait(event):
                    await event.wait()
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
async def running_fake_openai() -> AsyncGenerator[FakeOpenAI, None]:
    """Serve one on a free port. Ends with an assertion if it was sent anything that no such server would take."""
    fake = FakeOpenAI()
    app = Starlette(routes=[Route("/v1/chat/completions", fake.handle, methods=["POST"])])
    async with serving(app) as url:
        fake.url = f"{url}/v1"
        yield fake
    assert fake.complaints == []
