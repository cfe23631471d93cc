"""Speaks to the application as a server would, without one: startup and shutdown, requests, streams, sockets."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from starlette.types import ASGIApp, Message, Scope

HOST = "127.0.0.1"
URL = f"http://{HOST}/graphql"
RESULT, EVENTS = "application/graphql-response+json", "text/event-stream"
PROTOCOL = "graphql-transport-ws"
DEADLINE_S = 30
# The key of the result of a socket that was closed before it answered.
CLOSED = "closed"


@dataclass(frozen=True)
class Answer:
    """What came back. Of a subscription: one result for each event; of a socket the status is always 101."""

    status: int
    results: tuple[dict[str, Any], ...]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [error for result in self.results for error in result.get("errors", ())]

    def value(self, name: str) -> Any:
        """Return the value of a root field in the last result that has one."""
        found = [(result.get("data") or {}).get(name) for result in self.results]
        return next((value for value in reversed(found) if value is not None), None)


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncGenerator[None, None]:
    """Start the application, and shut it down at the end."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()

    async def go_through(phase: str) -> None:
        await to_app.put({"type": f"lifespan.{phase}"})
        said = await from_app.get()
        assert said["type"] == f"lifespan.{phase}.complete", said

    task = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}}, to_app.get, from_app.put))
    await go_through("startup")
    try:
        yield
    finally:
        await go_through("shutdown")
        await task


async def post(
    app: ASGIApp,
    query: str,
    variables: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    file: tuple[str, bytes] | None = None,
    streams: bool = False,
    most: int | None = None,
) -> Answer:
    """Send an operation. With `streams` it is watched to its end, or until there were `most` events."""
    operation = json.dumps({"query": query, "variables": variables})
    headers = {"Accept": EVENTS if streams else RESULT, **headers}
    if file is None:
        request = httpx2.Request(
            "POST", URL, content=operation, headers={"Content-Type": "application/json", **headers}
        )
    else:
        request = httpx2.Request(
            "POST",
            URL,
            data={"operations": operation, "map": '{"0": ["variables.input.file"]}'},
            files={"0": file},
            headers={"GraphQL-Require-Preflight": "1", **headers},
        )
    status, body = await _exchange(app, request, request.read(), most)
    if not streams or not body.startswith(b"event:"):
        return Answer(status, (json.loads(body),))
    return Answer(status, tuple(_events(body)))


def _events(body: bytes) -> list[dict[str, Any]]:
    messages = [dict(line.split(": ", 1) for line in one.splitlines()) for one in body.decode().split("\n\n") if one]
    return [json.loads(message["data"]) for message in messages if message["event"] == "next"]


async def _exchange(app: ASGIApp, request: httpx2.Request, body: bytes, most: int | None) -> tuple[int, bytes]:
    status, received, sent, gone = 0, bytearray(), False, asyncio.Event()

    async def receive() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            received.extend(message.get("body", b""))
            if most is not None and received.count(b"event: next\n") >= most:
                gone.set()

    scope = {**_scope("http", request.headers.raw), "method": "POST"}
    async with asyncio.timeout(DEADLINE_S):
        await app(scope, receive, send)
    return status, bytes(received)


def _scope(kind: str, headers: list[tuple[bytes, bytes]]) -> Scope:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in headers],
        "client": ("127.0.0.1", 50_000),
        "server": (HOST, 80),
        "state": {},
    }


async def over_socket(
    app: ASGIApp, query: str, variables: Mapping[str, Any], headers: Mapping[str, str], *, most: int | None = None
) -> Answer:
    """Send an operation over a socket of its own, which is opened with these headers."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    raw = [(name.encode(), value.encode()) for name, value in {"Host": HOST, **headers}.items()]
    scope = {**_scope("websocket", raw), "subprotocols": [PROTOCOL]}

    async def say(message: object) -> None:
        await to_app.put({"type": "websocket.receive", "text": json.dumps(message)})

    async def hear() -> dict[str, Any]:
        message = await from_app.get()
        if message["type"] == "websocket.close":
            return {"type": CLOSED, "payload": {CLOSED: message["code"]}}
        return json.loads(message["text"]) if message["type"] == "websocket.send" else {"type": message["type"]}

    results: list[dict[str, Any]] = []
    serving = asyncio.ensure_future(app(scope, to_app.get, from_app.put))
    await to_app.put({"type": "websocket.connect"})
    await say({"type": "connection_init"})
    async with asyncio.timeout(DEADLINE_S):
        while most is None or len(results) < most:
            match await hear():
                case {"type": "connection_ack"}:
                    operation = {"query": query, "variables": variables}
                    await say({"type": "subscribe", "id": "1", "payload": operation})
                case {"type": "next", "payload": result}:
                    results.append(result)
                case {"type": "error", "payload": errors}:
                    results.append({"errors": errors})
                    break
                case {"type": "closed", "payload": closed}:
                    results.append(closed)
                    break
                case {"type": "complete"}:
                    break
                case _:
                    pass  # the socket was accepted, or pings
        await to_app.put({"type": "websocket.disconnect", "code": 1000})
        await serving
    return Answer(101, tuple(results))
