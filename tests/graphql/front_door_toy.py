"""A toy schema behind the real front door, on a real uvicorn server in the test's own loop."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import strawberry
import uvicorn
from graphql import GraphQLError
from sqlalchemy import text as sql
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from strawberry.extensions import SchemaExtension

from kyrochat import errors
from kyrochat.db.engine import Database
from kyrochat.graphql.transport.document_cache import DocumentCache
from kyrochat.graphql.transport.gates import gated
from kyrochat.graphql.transport.grants import Renew
from kyrochat.graphql.transport.hosts import Hosts
from kyrochat.graphql.transport.schema_setup import KyroSchema
from kyrochat.graphql.transport.time_limit import OPERATION_LIMIT_S
from kyrochat.graphql.transport.uploads import Upload
from kyrochat.graphql.transport.uvicorn_options import UVICORN_OPTIONS
from kyrochat.graphql.transport.view import GraphQLView, authorization

SECRET = "s3cret-value"


@dataclass
class Doorbell:
    """What the toy resolvers saw, and the events that let the tests wait for them."""

    contexts: int = 0
    open_streams: int = 0
    closed_streams: int = 0
    ticks: int = 0
    # Results of `big` that were made, and calls of `hang` that are under way.
    made: int = 0
    hanging: int = 0
    cancelled: int = 0
    # Of clients, as told by proxies that are trusted, and of who is at the other end.
    addresses: list[str] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    # For `sleepInDatabase`.
    database: Database | None = None


@dataclass
class Context:
    viewer: str | None
    bell: Doorbell
    renew: Renew | None


Info = strawberry.Info[Context, None]

FAILURES: dict[str, Callable[[], Exception]] = {
    "bug": lambda: RuntimeError("the database password is " + SECRET),
    "unauthenticated": errors.Unauthenticated,
    "forbidden": lambda: errors.Forbidden("Only owners may do this."),
    "invalid": lambda: errors.InvalidInput.at("name", "A name has 1 to 80 characters."),
    "missing": lambda: errors.NotFound("bot"),
    "rate": lambda: errors.RateLimited(2.5),
    "overloaded": errors.Overloaded,
    "config": lambda: errors.ConfigurationError("KYROCHAT_SECRET_KEY=" + SECRET),
    "coded": lambda: GraphQLError("Too expensive.", extensions={"code": "QUERY_TOO_EXPENSIVE"}),
}


@strawberry.input
class EchoInput:
    text: str
    count: int = 1


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "world"

    @strawberry.field
    def viewer(self, info: Info) -> str | None:
        return info.context.viewer

    @strawberry.field
    def echo(self, text: str) -> str:
        return text

    @strawberry.field
    async def big(self, info: Info, size: int) -> str:
        info.context.bell.made += 1
        await asyncio.sleep(0)
        return "x" * size

    @strawberry.field
    async def hang(self, info: Info) -> str:
        return await _hang(info.context.bell)

    @strawberry.field
    async def sleep_in_database(self, info: Info) -> str:
        return await _sleep_in_database(info.context.bell)

    @strawberry.field
    def fail(self, kind: str) -> str | None:
        raise FAILURES[kind]()

    @strawberry.field
    def fail_hard(self, kind: str) -> str:
        raise FAILURES[kind]()

    @strawberry.field
    def wrong_type(self) -> int:
        return "not a number " + SECRET  # type: ignore[return-value]


async def _hang(bell: Doorbell) -> str:
    bell.hanging += 1
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        bell.cancelled += 1
        raise
    finally:
        bell.hanging -= 1
    return "awake"


async def _sleep_in_database(bell: Doorbell) -> str:
    assert bell.database is not None
    async with bell.database.begin() as session:
        await (await session.connection()).execute(sql("SELECT pg_sleep(100)"))
    return "awake"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def echo(self, input: EchoInput) -> str:
        return input.text * input.count

    @strawberry.mutation
    async def upload(self, file: Upload, note: str = "") -> str:
        return f"{file.filename} {len(await file.read())} {note}"

    @strawberry.mutation
    async def uploads(self, files: list[Upload]) -> list[str | None]:
        return [file.filename for file in files]

    @strawberry.mutation
    def fail(self, kind: str) -> str | None:
        raise FAILURES[kind]()

    @strawberry.mutation
    async def hang(self, info: Info) -> str:
        return await _hang(info.context.bell)

    @strawberry.mutation
    async def sleep_in_database(self, info: Info) -> str:
        return await _sleep_in_database(info.context.bell)

    @strawberry.mutation
    async def renew(self, info: Info, token: str) -> str | None:
        """Return the holder, or null when this is no socket."""
        return (await info.context.renew({"Authorization": token})).holder if info.context.renew else None


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, info: Info, to: int, every_s: float = 0.0) -> AsyncGenerator[int, None]:
        async for number in _counted(info.context.bell, to, every_s):
            yield number

    @strawberry.subscription
    async def blobs(self, info: Info, to: int, size: int) -> AsyncGenerator[str, None]:
        async for _ in _counted(info.context.bell, to, 0.0):
            yield "x" * size

    @strawberry.subscription
    async def fail_later(self, kind: str, after: int) -> AsyncGenerator[int, None]:
        for number in range(after):
            yield number
        raise FAILURES[kind]()

    @strawberry.subscription
    async def fail_when_stopped(self, info: Info, after: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(after):
                yield number
            async for number in _counted(info.context.bell, 1, 100.0):
                yield number
        finally:
            raise FAILURES["overloaded"]()

    @strawberry.subscription
    async def viewer(self, info: Info) -> AsyncGenerator[str | None, None]:
        yield info.context.viewer


async def _counted(bell: Doorbell, to: int, every_s: float) -> AsyncGenerator[int, None]:
    bell.open_streams += 1
    try:
        for number in range(to):
            await asyncio.sleep(every_s)
            bell.ticks += 1
            yield number
    finally:
        bell.open_streams -= 1
        bell.closed_streams += 1


@dataclass
class Toy:
    """A running server: its address, what its resolvers saw, its view and its document cache."""

    port: int
    bell: Doorbell
    view: GraphQLView
    cache: DocumentCache
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"

    async def post(self, body: object, **headers: str) -> httpx2.Response:
        """Post `body`, bytes as they are and anything else as JSON; header names with underscores."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with httpx2.AsyncClient() as client:
            return await client.post(self.url, content=content, headers=sent)

    async def run(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the answer to one operation over plain HTTP."""
        answer = await self.post({"query": query, "variables": variables})
        assert answer.status_code == 200, answer.text
        payload: dict[str, Any] = answer.json()
        return payload


def toy_view(
    bell: Doorbell,
    cache: DocumentCache,
    extensions: Sequence[type[SchemaExtension] | Callable[[], SchemaExtension]],
    introspection: bool,
    time_limit_s: float,
    **options: object,
) -> GraphQLView:
    schema = KyroSchema(
        Query,
        Mutation,
        Subscription,
        documents=cache,
        extensions=extensions,
        introspection=introspection,
        time_limit_s=time_limit_s,
    )

    async def build_context(
        connection: Request | WebSocket, params: Mapping[str, object], renew: Renew | None
    ) -> Context:
        bell.contexts += 1
        bell.addresses.append(view.address_of(connection))
        bell.peers.append(connection.client.host if connection.client else "")
        token = authorization(connection, params)
        if token in FAILURES:
            raise FAILURES[token]()
        return Context(token, bell, renew)

    view = GraphQLView(schema, build_context, **options)  # type: ignore[arg-type]
    return view


@asynccontextmanager
async def serving(
    uvicorn_options: Mapping[str, object] | None = None,
    extensions: Sequence[type[SchemaExtension] | Callable[[], SchemaExtension]] = (),
    hosts: Hosts | None = None,
    introspection: bool = True,
    time_limit_s: float = OPERATION_LIMIT_S,
    **options: object,
) -> AsyncIterator[Toy]:
    """Serve the toy on a free port; view options by name."""
    bell, cache = Doorbell(), DocumentCache()
    view = toy_view(bell, cache, extensions, introspection, time_limit_s, **options)
    app: ASGIApp = Starlette(routes=[Route("/graphql", view), WebSocketRoute("/graphql", view)])
    app = gated(app, (), hosts or Hosts(None), options.get("trusted_proxies", ()))  # type: ignore[arg-type]
    settings: dict[str, object] = {**UVICORN_OPTIONS, "timeout_graceful_shutdown": 2, **(uvicorn_options or {})}
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, **settings)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    # serve() would take over the signals of the test process.
    task = asyncio.create_task(server._serve())
    try:
        await until(lambda: server.started or task.done())
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Toy(port, bell, view, cache, server)
    finally:
        server.should_exit = True
        view.end_streams()
        await task


def codes(payload: Mapping[str, Any]) -> list[str]:
    """Return the codes of the errors in an answer."""
    return [error["extensions"]["code"] for error in payload["errors"]]


async def until(condition: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait for `condition`, and fail after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.005)
