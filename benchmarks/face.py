"""What GraphQL costs on top of HTTP and of a socket: `python -m benchmarks.face`.

The CPU time of the server's process per request, and per event of a subscription, beside a bare Starlette route and a
bare `send_text` of the same bytes in the same process. All take turns, so whatever else the machine does meets all of
them; the figures that travel are the ratios.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import strawberry
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL

from benchmarks.sign_in import serving
from kyrochat.accounts.viewer import Client
from kyrochat.app import KyroApp
from kyrochat.db.access import database_access
from kyrochat.graphql import schema as product
from kyrochat.graphql.key_guard import KeyGuard
from kyrochat.graphql.limits import CostGuard
from kyrochat.graphql.transport.schema_setup import KyroSchema
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings

# So many that the start of the client does not count.
REQUESTS, SLOW_REQUESTS = 3_000, 400
AT_ONCE = 4
EVENTS = 2_000
ROUNDS = 5
OBJECTS = 100
TRIVIAL = "{ __typename }"
LIST = "{ things { id name description size weight } }"
BOTS = "{ bots(first: 100) { nodes { id name description model topK } } }"
WATCH = f"subscription {{ ticks(to: {EVENTS}) {{ sequence text }} }}"
TEXT = "the next few words of an answer"


@strawberry.type(description="Something with five scalars.")
class Thing:
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="Its name.")
    description: str = strawberry.field(description="What it is.")
    size: int = strawberry.field(description="How large it is.")
    weight: float = strawberry.field(description="How heavy it is.")


@strawberry.type(description="Some characters.")
class Tick:
    sequence: int = strawberry.field(description="1, 2, 3 ...")
    text: str = strawberry.field(description="The characters.")


THINGS = [
    Thing(id=strawberry.ID(f"thing-{n}"), name=f"Thing {n}", description="A thing among others.", size=n, weight=n / 7)
    for n in range(OBJECTS)
]


@strawberry.type(description="The product's queries, and a list from memory.")
class Query(product.Query):
    @strawberry.field(description="A list that costs nothing but itself.")
    def things(self) -> list[Thing]:
        return THINGS


@strawberry.type(description="The product's subscriptions, and one from memory.")
class Subscription(product.Subscription):
    @strawberry.subscription(description="Events that cost nothing but themselves.")
    async def ticks(self, to: int) -> AsyncGenerator[Tick, None]:
        for sequence in range(to):
            yield Tick(sequence=sequence, text=TEXT)


def with_things(app: KyroApp) -> None:
    """Let the product answer for the list and the events too, behind all that it does for its own."""
    app.view._schema = KyroSchema(
        Query,
        product.Mutation,
        Subscription,
        extensions=[CostGuard, KeyGuard],
        config=product.schema_config(),
    )


def bare_app(answers: dict[str, Any]) -> Starlette:
    """Return routes that read JSON and answer with what GraphQL would have."""

    async def bare(request: Request) -> Response:
        await request.json()
        return JSONResponse(answers[request.path_params["name"]])

    async def ticks(socket: WebSocket) -> None:
        await socket.accept("graphql-transport-ws")
        await socket.receive_text()
        await socket.send_text('{"type":"connection_ack"}')
        await socket.receive_text()
        for sequence in range(EVENTS):
            event = {"id": "1", "type": "next", "payload": {"data": {"ticks": {"sequence": sequence, "text": TEXT}}}}
            await socket.send_text(json.dumps(event, separators=(",", ":")))
        await socket.send_text('{"id":"1","type":"complete"}')
        await socket.receive()

    # What the library serves by itself, with no limits, guards or permissions.
    stock = GraphQL[Any, Any](strawberry.Schema(Query, config=product.schema_config()))
    return Starlette(
        routes=[
            Route("/stock", stock, methods=["POST"]),
            Route("/{name}", bare, methods=["POST"]),
            WebSocketRoute("/ticks", ticks),
        ]
    )


async def in_another_process(*arguments: object, body: bytes = b"") -> None:
    """Let the client run, whose CPU time is not counted."""
    command = (sys.executable, "-m", "benchmarks.face_client", *map(str, arguments))
    client = await asyncio.create_subprocess_exec(*command, stdin=PIPE)
    await client.communicate(body)
    assert client.returncode == 0


async def compare(variants: dict[str, tuple[int, str, Callable[[], Awaitable[None]]]]) -> None:
    """Print the medians: what each costs, and its ratio to the variant that it names."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(ROUNDS + 1):
        for name, (count, _, run) in variants.items():
            began_s = time.process_time()
            await run()
            if turn:  # the first one has imported, parsed and connected
                found[name].append((time.process_time() - began_s) / count * 1e6)
    for name, (_, against, _) in variants.items():
        ratio = statistics.median(one / other for one, other in zip(found[name], found[against], strict=True))
        told = "" if against == name else f"   x{ratio:.2f} of {against}"
        sys.stdout.write(f"  {name:<34} {statistics.median(found[name]):>7.0f} us{told}\n")


async def main() -> None:
    """Print the figures of a fresh server."""
    with tempfile.TemporaryDirectory(prefix="kyrochat-bench-") as directory:
        settings = Settings(data_dir=Path(directory), workers=0, rate_limits=Switch.OFF, port=0)
        async with database_access(settings) as access, serving(settings, access) as (server, app):
            with_things(app)
            services = app.runtime.services
            signed_in = await services.registration.register("ada@example.org", "correct horse battery", Client("::1"))
            viewer = await services.principals.load(f"Bearer {signed_in.access_token}", Client("::1"))
            for number in range(OBJECTS):
                await services.bots.create(viewer, None, {"name": f"Bot {number}", "description": "A bot."})
            token, port = signed_in.access_token, server.servers[0].sockets[0].getsockname()[1]
            things = [strawberry.asdict(thing) for thing in THINGS]
            answers = {"trivial": {"data": {"__typename": "Query"}}, "list": {"data": {"things": things}}}
            server.config.loaded_app = Mounted(server.config.loaded_app, bare_app(answers))

            def posted(
                path: str, query: str, credential: str = "", count: int = REQUESTS
            ) -> Callable[[], Awaitable[None]]:
                body = json.dumps({"query": query}).encode()
                return lambda: in_another_process("post", port, path, count, AT_ONCE, credential, body=body)

            def watched(path: str) -> Callable[[], Awaitable[None]]:
                return lambda: in_another_process("watch", port, path, WATCH)

            sys.stdout.write("CPU time of the server, per request and per event:\n")
            await compare(
                {
                    "bare, trivial": (REQUESTS, "bare, trivial", posted("/bare/trivial", TRIVIAL)),
                    "GraphQL, trivial": (REQUESTS, "bare, trivial", posted("/graphql", TRIVIAL)),
                    "Strawberry's own app, trivial": (REQUESTS, "bare, trivial", posted("/bare/stock", TRIVIAL)),
                    "bare, 100 objects": (REQUESTS, "bare, 100 objects", posted("/bare/list", LIST)),
                    "GraphQL, 100 objects": (REQUESTS, "bare, 100 objects", posted("/graphql", LIST)),
                    "GraphQL, 100 bots, signed in": (
                        SLOW_REQUESTS,
                        "bare, 100 objects",
                        posted("/graphql", BOTS, token, SLOW_REQUESTS),
                    ),
                    "bare, event": (EVENTS, "bare, event", watched("/bare/ticks")),
                    "GraphQL, event": (EVENTS, "bare, event", watched("/graphql")),
                }
            )


class Mounted:
    """The product, and the bare routes below `/bare`."""

    def __init__(self, product_app: Any, bare: Starlette) -> None:
        self._product, self._bare = product_app, Starlette(routes=[Mount("/bare", bare)])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._bare if scope.get("path", "").startswith("/bare") else self._product
        await app(scope, receive, send)


if __name__ == "__main__":
    # As the product runs, where there is uvloop.
    uvloop.run(main())
