"""A server with OpenAI's `/v1/embeddings` on the wire, as Ollama and vLLM have one; a test says what it does.

async with running_embedding_server() as fake:
    fake.script(HttpError(429, retry_after="2"), Answer())   # the next requests, later ones are answered as always
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.fakes.gemini_requests import vector_of
from tests.fakes.serving import serving

DIMENSIONS = 128
# What vLLM takes in one request is more, what llama.cpp takes by default less.
MAX_TEXTS = 256
_FIELDS = {"model", "input", "encoding_format", "dimensions", "user"}


@dataclass(frozen=True)
class Answer:
    """As always; `change` may do something to its body first."""

    change: Callable[[dict[str, Any]], object] = lambda body: None


@dataclass(frozen=True)
class HttpError:
    """Another status than 200."""

    status: int
    retry_after: str | None = None
    text: str = '{"error": {"message": "It failed: sk-secret"}}'


@dataclass(frozen=True)
class Hang:
    """No answer, ever."""


@dataclass(frozen=True)
class Cut:
    """The connection breaks in the middle of the body."""


@dataclass(frozen=True)
class Raw:
    """Status 200 with these very bytes."""

    content: bytes


Step = Answer | HttpError | Hang | Cut | Raw


@dataclass
class EmbeddingServer:
    """`requests` are the bodies of all requests, oldest first; `complaints` why some were refused."""

    url: str = ""
    api_key: str | None = None
    models: Mapping[str, int] = field(default_factory=lambda: {"tiny": DIMENSIONS, "wide": 1_024})
    requests: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    steps: deque[Step] = field(default_factory=deque)

    def script(self, *steps: Step) -> None:
        """Do this with the next requests, one each."""
        self.steps.extend(steps)

    @property
    def texts(self) -> list[str]:
        """All texts that were sent."""
        return [text for request in self.requests for text in request["input"]]

    async def handle(self, request: Request) -> Response:
        if self.api_key is not None and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return refusal(HttpError(401))
        body = json.loads(await request.body())
        self.requests.append(body)
        step = self.steps.popleft() if self.steps else Answer()
        match step:
            case HttpError():
                return refusal(step)
            case Raw(content):
                return Response(content, media_type="application/json")
            case Hang():
                return Broken(hangs=True)
            case Cut():
                return Broken(hangs=False)
            case Answer(change):
                return self._answer(body, change)

    def _answer(self, body: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> Response:
        if body.get("model") not in self.models:
            return refusal(HttpError(404))
        texts, asked = body.get("input"), body.get("dimensions")
        wrong = (
            body.keys() - _FIELDS
            or not isinstance(texts, list)
            or not 1 <= len(texts) <= MAX_TEXTS
            or not all(isinstance(text, str) and text for text in texts)
            or body.get("encoding_format", "float") != "float"
        )
        if wrong or not isinstance(texts, list):
            self.complaints.append(f"not understood: {sorted(body)}, {len(texts or [])} texts")
            return refusal(HttpError(400))
        dimensions = asked or self.models[body["model"]]
        answer: dict[str, Any] = {
            "object": "list",
            "model": body["model"],
            "data": [
                {"object": "embedding", "index": number, "embedding": vector_of(text, dimensions)}
                for number, text in enumerate(texts)
            ],
            "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
        }
        change(answer)
        return Response(json.dumps(answer), media_type="application/json")


class Broken(Response):
    def __init__(self, *, hangs: bool) -> None:
        super().__init__(media_type="application/json")
        del self.headers["content-length"]
        self.hangs = hangs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.hangs:
            with suppress(asyncio.CancelledError):
                while (await receive())["type"] != "http.disconnect":
                    pass
            return
        # uvicorn drops the connection of an app that returns without having finished.
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b'{"data": [{"index": 0, "embed', "more_body": True})


def refusal(error: HttpError) -> Response:
    headers = {} if error.retry_after is None else {"retry-after": error.retry_after}
    return Response(error.text, error.status, headers, media_type="application/json")


@asynccontextmanager
async def running_embedding_server() -> AsyncGenerator[EmbeddingServer, None]:
    """Serve one on a free port. Ends with an assertion if it was sent anything that such a server would not take."""
    fake = EmbeddingServer()
    app = Starlette(routes=[Route("/v1/embeddings", fake.handle, methods=["POST"])])
    async with serving(app) as url:
        fake.url = url
        yield fake
    assert fake.complaints == []
