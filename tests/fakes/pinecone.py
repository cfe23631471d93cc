"""Pinecone on the wire: the real SDK talks to it, and a test says beforehand what goes wrong.

async with running_fake_pinecone() as fake:
    fake.visibility.held = True                           # searches see no write before fake.settle()
    fake.script("search", HttpError(503), Hang())         # the next two searches; the ones after that are answered
    ...
    assert fake.sent("upsert")[0].body == {...}
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.fakes import pinecone_requests as requests
from tests.fakes import pinecone_steps as steps
from tests.fakes.pinecone_filters import Refused
from tests.fakes.pinecone_store import Index, Visibility
from tests.fakes.serving import serving

API_KEY = "fake-pinecone-key"
API_VERSION = "2026-07"
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_NAMESPACES = 100

Operation = Literal["create", "describe", "list", "drop", "upsert", "search", "fetch", "delete"]


@dataclass(frozen=True)
class Recorded:
    """One request, whatever came of it. `abandoned` is set once a client that was kept waiting has left."""

    operation: str
    index: str
    namespace: str
    body: dict[str, Any]
    headers: Mapping[str, str]
    size_bytes: int
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class FakePinecone:
    """`requests` are all, oldest first; `complaints` why some were not what Pinecone understands."""

    url: str = ""
    api_key: str = API_KEY
    max_indexes: int = 5
    # How often a new index is still initializing when it is looked at.
    describes_until_ready: int = 0
    # Whether searches in a namespace that does not exist get a 404 rather than nothing; deletions always do.
    missing_namespace_is_404: bool = False
    visibility: Visibility = field(default_factory=Visibility)
    indexes: dict[str, Index] = field(default_factory=dict)
    requests: list[Recorded] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    scripts: dict[str, deque[steps.Step]] = field(default_factory=lambda: defaultdict(deque))

    def script(self, operation: Operation, *script: steps.Step) -> None:
        """Do these instead with the next requests of this kind, one each. The SDK's repetitions are requests, too."""
        self.scripts[operation].extend(script)

    def sent(self, operation: Operation) -> list[Recorded]:
        """Return the requests of one kind, oldest first."""
        return [request for request in self.requests if request.operation == operation]

    def settle(self) -> None:
        """Let searches see all writes."""
        for index in self.indexes.values():
            for namespace in index.namespaces.values():
                namespace.settle()

    def stored(self, index: str, namespace: str) -> dict[str, dict[str, Any]]:
        """Return the documents that were accepted, by id, visible or not."""
        found = self.indexes[index].namespaces.get(namespace)
        return {} if found is None else found.accepted

    def reset(self) -> None:
        """Forget everything but the address."""
        self.__dict__.update(FakePinecone(url=self.url).__dict__)

    async def handle(self, request: Request) -> Response:
        raw = await request.body()
        try:
            operation = _operation_of(request)
            recorded = Recorded(
                operation,
                request.path_params.get("index", ""),
                request.path_params.get("namespace", ""),
                json.loads(raw) if raw else {},
                dict(request.headers),
                len(raw),
            )
            self.requests.append(recorded)
            return self._answer(recorded, raw)
        except (Refused, json.JSONDecodeError) as refusal:
            self.complaints.append(f"{request.method} {request.url.path}: {refusal}")
            return _error(steps.HttpError(400, "INVALID_ARGUMENT", str(refusal)))

    def _answer(self, recorded: Recorded, raw: bytes) -> Response:
        if recorded.headers.get("api-key") != self.api_key:
            return _error(steps.KEY_INVALID)
        if recorded.headers.get("x-pinecone-api-version") != API_VERSION:
            raise Refused(f"X-Pinecone-Api-Version is not {API_VERSION}.")
        if raw and recorded.headers.get("content-type") != "application/json":
            raise Refused("the body is not application/json.")
        script = self.scripts[recorded.operation]
        step = script.popleft() if script else steps.Answer()
        match step:
            case steps.Answer():
                return self._done(recorded, None)
            case steps.StoreOnly(count):
                return self._done(recorded, count)
            case steps.HttpError():
                return _error(step)
            case steps.Raw(content):
                return Response(content, media_type="application/json")
            case steps.Hang():
                return _Silent(recorded)
            case steps.Cut():
                return _Cut(b'{"matches": [')
            case _:
                assert_never(step)

    def _done(self, recorded: Recorded, store_only: int | None) -> Response:
        if recorded.operation == "list":
            return JSONResponse({"indexes": [index.description() for index in self.indexes.values()]})
        if recorded.operation == "create":
            return self._create(recorded)
        index = self.indexes.get(recorded.index)
        if index is None:
            return _error(steps.HttpError(404, "NOT_FOUND", "Resource not found"))
        if recorded.operation == "describe":
            described = index.description()
            index.describes_until_ready -= 1
            return JSONResponse(described)
        if recorded.operation == "drop":
            del self.indexes[recorded.index]
            return Response(status_code=202)
        return self._in_namespace(index, recorded, store_only)

    def _create(self, recorded: Recorded) -> Response:
        index = requests.new_index(recorded.body, self.url)
        if index.name in self.indexes:
            return _error(steps.HttpError(409, "ALREADY_EXISTS", "Resource already exists"))
        if len(self.indexes) >= self.max_indexes:
            return _error(steps.HttpError(403, "QUOTA_EXCEEDED", "You've reached the max indexes allowed in project."))
        index.describes_until_ready = self.describes_until_ready
        self.indexes[index.name] = index
        return JSONResponse(index.description(), 201)

    def _in_namespace(self, index: Index, recorded: Recorded, store_only: int | None) -> Response:
        name, body = recorded.namespace, recorded.body
        missing = name not in index.namespaces
        match recorded.operation:
            case "upsert" if recorded.size_bytes > MAX_BODY_BYTES:
                return _error(steps.HttpError(413, "PAYLOAD_TOO_LARGE", "Request size exceeds 2MB."))
            case "upsert" if missing and len(index.namespaces) >= MAX_NAMESPACES:
                return _error(steps.QUOTA_EXCEEDED)
            case "upsert":
                answer = requests.upsert(index, name, body, self.visibility, store_only)
            case "search" if not (missing and self.missing_namespace_is_404):
                answer = requests.search(index, name, body, self.visibility)
            case "fetch" if not missing:
                answer = requests.fetch(index, name, body)
            case "delete" if not missing:
                answer = requests.delete(index, name, body, self.visibility)
            case _:
                return _error(requests.NAMESPACE_NOT_FOUND)
        content, headers = answer
        return JSONResponse(content, 202 if recorded.operation in ("upsert", "delete") else 200, headers)


def _operation_of(request: Request) -> str:
    if "operation" in request.path_params:
        operation = str(request.path_params["operation"])
        if operation not in ("upsert", "search", "fetch", "delete"):
            raise Refused("this fake does not know the operation.")
        return operation
    one = "index" in request.path_params
    return {"GET": "describe" if one else "list", "POST": "create", "DELETE": "drop"}[request.method]


def _error(error: steps.HttpError) -> Response:
    return Response(error.body, error.status, error.headers)


class _Silent(Response):
    """Sends nothing, and notes when the client gives up."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        self.recorded = recorded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.recorded.abandoned.set()


class _Cut(Response):
    """Breaks off: uvicorn drops the connection of an app that ends before its body does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})


@asynccontextmanager
async def running_fake_pinecone() -> AsyncGenerator[FakePinecone, None]:
    """Serve one on a free port. Ends with an assertion if it was sent anything that Pinecone would not take."""
    fake = FakePinecone()
    app = Starlette(
        routes=[
            Route("/indexes", fake.handle, methods=["GET", "POST"]),
            Route("/indexes/{index}", fake.handle, methods=["GET", "DELETE"]),
            Route("/_idx/{index}/namespaces/{namespace}/documents/{operation}", fake.handle, methods=["POST"]),
        ]
    )
    async with serving(app) as url:
        fake.url = url
        yield fake
    assert fake.complaints == []
