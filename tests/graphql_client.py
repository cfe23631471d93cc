"""A client like those that users write: queries over HTTP, subscriptions over graphql-transport-ws or events."""

import itertools
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.graphql.socket_client import PROTOCOL

TIMEOUT_S = 30.0
_numbers = itertools.count(1)

REGISTER = """mutation ($email: String!, $password: String!) {
  register(input: {email: $email, password: $password}) { __typename ... on Session { accessToken refreshToken } }
}"""


class Refused(Exception):
    """The server answered with errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(json.dumps(errors))
        self.errors = errors

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.errors]


@dataclass(frozen=True)
class GraphQLClient:
    """One user's view of one server. `url` is that of `/graphql`."""

    url: str
    http: httpx2.AsyncClient
    token: str | None = None
    refresh_token: str = field(default="", repr=False)
    # That of the page, when the user is one of a browser.
    origin: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return self.credentials | ({} if self.origin is None else {"Origin": self.origin})

    @property
    def credentials(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def at(self, url: str) -> "GraphQLClient":
        """Return the same user at another server."""
        return replace(self, url=url)

    def nobody(self) -> "GraphQLClient":
        """Return a client that has not signed in."""
        return replace(self, token=None)

    async def post(
        self, content: bytes | str, content_type: str = "application/json", **headers: str
    ) -> httpx2.Response:
        """Send a body as it is."""
        sent = {"Content-Type": content_type, **self.headers, **headers}
        return await self.http.post(self.url, content=content, headers=sent)

    async def answer(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the whole answer to an operation, errors included."""
        response = await self.post(json.dumps({"query": query, "variables": dict(variables or {})}))
        answer: dict[str, Any] = response.json()
        return answer

    async def run(self, query: str, **variables: Any) -> Any:
        """Return the value of an operation's only root field.

        Raises:
            Refused: there are errors.
        """
        return _only_field(await self.answer(query, variables))

    async def upload(self, query: str, name: str, content: bytes, **variables: Any) -> Any:
        """Return the value of a mutation's only root field; its `$file` is the file."""
        operations = json.dumps({"query": query, "variables": {**variables, "file": None}})
        response = await self.http.post(
            self.url,
            data={"operations": operations, "map": '{"0": ["variables.file"]}'},
            files={"0": (name, content)},
            headers={"GraphQL-Require-Preflight": "1", **self.headers},
        )
        return _only_field(response.json())

    async def watch(self, query: str, **variables: Any) -> AsyncGenerator[Any, None]:
        """Yield the value of a subscription's root field, over a socket of its own."""
        async with self.socket() as socket, aclosing(socket.watch(query, **variables)) as values:
            async for value in values:
                yield value

    @asynccontextmanager
    async def socket(self) -> AsyncGenerator["Socket", None]:
        """Open a socket, and sign in on it."""
        protocols: list[Subprotocol] = [PROTOCOL]
        url = self.url.replace("http", "ws", 1)
        origin = None if self.origin is None else Origin(self.origin)
        async with connect(
            url, proxy=None, origin=origin, subprotocols=protocols, open_timeout=TIMEOUT_S, close_timeout=2
        ) as opened:
            socket = Socket(opened)
            await socket.send({"type": "connection_init", "payload": self.credentials})
            assert await socket.receive() == {"type": "connection_ack"}
            yield socket

    async def stream(self, query: str, **variables: Any) -> AsyncGenerator[Any, None]:
        """Yield the value of a subscription's root field, over server-sent events."""
        body = {"query": query, "variables": variables}
        headers = {"Accept": "text/event-stream", **self.headers}
        async with self.http.stream("POST", self.url, json=body, headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            name = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == "next":
                    yield _only_field(json.loads(line.removeprefix("data: ")))
            assert name == "complete"


@dataclass
class Socket:
    """A socket that has been acknowledged."""

    connection: ClientConnection
    ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def send(self, message: object) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self.connection.recv())
            if message["type"] != "ping":
                return message
            await self.send({"type": "pong"})

    async def watch(self, query: str, **variables: Any) -> AsyncGenerator[Any, None]:
        """Yield the value of a subscription's root field; one operation at a time."""
        id_ = str(next(self.ids))
        await self.send({"type": "subscribe", "id": id_, "payload": {"query": query, "variables": variables}})
        while (message := await self.receive())["type"] != "complete":
            assert message["id"] == id_
            if message["type"] == "error":
                raise Refused(message["payload"])
            yield _only_field(message["payload"])

    def abort(self) -> None:
        """Cut the wire: no close frame, no goodbye."""
        self.connection.transport.abort()


@asynccontextmanager
async def visiting(url: str) -> AsyncGenerator[GraphQLClient, None]:
    """Give a client that has not signed in."""
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False, limits=limits) as http:
        yield GraphQLClient(url, http)


async def register(client: GraphQLClient) -> GraphQLClient:
    """Return a new user's client."""
    email = f"user{next(_numbers)}@example.org"
    session = await client.run(REGISTER, email=email, password="correct horse battery staple")
    assert session["__typename"] == "Session"
    return replace(client, token=session["accessToken"], refresh_token=session["refreshToken"])


def _only_field(answer: dict[str, Any]) -> Any:
    if "errors" in answer:
        raise Refused(answer["errors"])
    (value,) = answer["data"].values()
    return value
