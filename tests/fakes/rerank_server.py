"""A reranker on the wire, with the two shapes that there are; a test says what it does.

async with running_rerank_server() as fake:
    fake.script(HttpError(503), Answer())   # the next requests, later ones are answered as always
"""

import json
import re
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.embedding_server import Answer, Broken, Cut, Hang, HttpError, Raw, Step, refusal
from tests.fakes.serving import serving


@dataclass
class RerankServer:
    """Scores by the share of the question's words that a text has; `requests` are all bodies, oldest first."""

    url: str = ""
    api_key: str | None = None
    model: str | None = "tiny-reranker"
    # What is added to all scores: models say logits before they are squeezed.
    shift: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    steps: deque[Step] = field(default_factory=deque)

    def script(self, *steps: Step) -> None:
        """Do this with the next requests, one each."""
        self.steps.extend(steps)

    async def handle(self, request: Request) -> Response:
        if self.api_key is not None and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return refusal(HttpError(401))
        body = json.loads(await request.body())
        self.requests.append(body)
        match self.steps.popleft() if self.steps else Answer():
            case HttpError() as error:
                return refusal(error)
            case Raw(content):
                return Response(content, media_type="application/json")
            case Hang():
                return Broken(hangs=True)
            case Cut():
                return Broken(hangs=False)
            case Answer(change):
                answer = self._answer(body)
                if isinstance(answer, dict):
                    change(answer)
                return JSONResponse(answer)

    def _answer(self, body: dict[str, Any]) -> object:
        texts = body["texts"] if self.model is None else body["documents"]
        if body.get("model") != self.model:
            return {"detail": "no such model"}
        asked = _words(body["query"])
        scored = [
            (place, len(asked & _words(text)) / max(len(asked), 1) + self.shift) for place, text in enumerate(texts)
        ]
        # Best first, as they do.
        scored.sort(key=lambda each: -each[1])
        if self.model is None:
            return [{"index": place, "score": score} for place, score in scored]
        return {"model": self.model, "results": [{"index": place, "relevance_score": score} for place, score in scored]}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


@asynccontextmanager
async def running_rerank_server(**options: Any) -> AsyncGenerator[RerankServer, None]:
    """Run one meanwhile; its `url` is the endpoint's."""
    fake = RerankServer(**options)
    app = Starlette(routes=[Route("/v2/rerank", fake.handle, methods=["POST"])])
    async with serving(app) as url:
        fake.url = f"{url}/v2/rerank"
        yield fake
