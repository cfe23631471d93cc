"""One server over HTTP: operations as JSON, subscriptions as server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import httpx2

from kyrochat.client import operations
from kyrochat.client.types import KyroChatError

# Between two events of a stream the server says every few seconds that it is there.
READ_TIMEOUT_S = 60.0
# What proxies say while the server behind them restarts, and the code of it.
NO_SERVER = (502, 503, 504)
AWAY = "AWAY"


class StreamBroken(Exception):
    """A stream has ended before its end was told."""


class Connection:
    """Sends operations with the credentials that it has, and renews those of a session when they have run out."""

    def __init__(self, url: str, credential: str | None, http: httpx2.AsyncClient | None) -> None:
        self.url = url.rstrip("/").removesuffix("/graphql") + "/graphql"
        self._credential = credential
        self._refresh_token: str | None = None
        self._renewing = asyncio.Lock()
        self._owned = http is None
        self._http = http or httpx2.AsyncClient(timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=10.0))

    async def close(self) -> None:
        """Close what was opened here."""
        if self._owned:
            await self._http.aclose()

    def use_session(self, session: Mapping[str, Any]) -> None:
        """Sign in with what `login`, `register` or `refreshSession` returned."""
        self._credential, self._refresh_token = session["accessToken"], session["refreshToken"]

    async def run(self, document: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Return the value of the document's only root field.

        Raises:
            KyroChatError: the server refused it.
            httpx2.TransportError: there was no answer.
        """
        return await self._signed_in(lambda: self._post(document, variables))

    async def upload(self, document: str, variables: Mapping[str, Any], name: str, content: bytes) -> Any:
        """Return the value of a mutation whose `$input` has a `file`; raise what `run` does."""
        entered = {"query": document, "variables": variables}

        async def send() -> Mapping[str, Any]:
            response = await self._http.post(
                self.url,
                data={"operations": json.dumps(entered), "map": '{"0": ["variables.input.file"]}'},
                files={"0": (name, content)},
                headers={**self._headers, "GraphQL-Require-Preflight": "1"},
            )
            return _answer(response)

        return await self._signed_in(send)

    async def watch(self, document: str, variables: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Yield the values of a subscription's only root field, up to its end.

        When the session runs out it is renewed, and the stream begins again with the variables as they are then.

        Raises:
            KyroChatError: the server refused it, or ended it with an error.
            StreamBroken: the connection ended first.
            httpx2.TransportError: the connection broke.
        """
        may_renew = True
        while True:
            used = self._credential
            try:
                async with aclosing(self._stream(document, variables)) as values:
                    async for value in values:
                        may_renew = True
                        yield value
                return
            except KyroChatError as error:
                # A new session that is refused at once is not renewed again.
                if not may_renew or not await self._renewed(error, used):
                    raise
                may_renew = False

    async def _signed_in(self, send: Callable[[], Awaitable[Mapping[str, Any]]]) -> Any:
        """Return the root field of what is answered, if need be with a renewed session."""
        used = self._credential
        try:
            return _only_field(await send())
        except KyroChatError as error:
            if not await self._renewed(error, used):
                raise
        return _only_field(await send())

    async def _stream(self, document: str, variables: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        body = {"query": document, "variables": variables}
        headers = {**self._headers, "Accept": "text/event-stream"}
        async with self._http.stream("POST", self.url, json=body, headers=headers) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                await response.aread()
                _only_field(_answer(response))
                raise KyroChatError("The server sent no stream.", "UNEXPECTED_ANSWER")
            name = ""
            async with aclosing(_lines(response)) as lines:
                async for line in lines:
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: ") and name == "next":
                        yield _only_field(json.loads(line.removeprefix("data: ")))
                    if name == "complete":
                        return
        raise StreamBroken

    async def _post(self, document: str, variables: Mapping[str, Any] | None) -> Mapping[str, Any]:
        body = {"query": document, "variables": dict(variables or {})}
        return _answer(await self._http.post(self.url, json=body, headers=self._headers))

    async def _renewed(self, error: KyroChatError, used: str | None) -> bool:
        """Exchange the refresh token for a new session, if that is what is missing: once for all who `used` the old."""
        if error.code != "UNAUTHENTICATED":
            return False
        async with self._renewing:
            if self._credential != used:
                return True
            if self._refresh_token is None:
                return False
            try:
                answer = await self._post(operations.REFRESH, {"input": {"refreshToken": self._refresh_token}})
                self.use_session(_only_field(answer))
            except KyroChatError as refused:
                # Otherwise it is kept: when the answer was lost, it may be sent once more.
                if refused.code == "InvalidCredentialsProblem":
                    self._refresh_token = None
                raise
            return True

    @property
    def _headers(self) -> dict[str, str]:
        return {} if self._credential is None else {"Authorization": f"Bearer {self._credential}"}


async def _lines(response: httpx2.Response) -> AsyncGenerator[str, None]:
    """Yield the lines of a stream. Not by `aiter_lines`: JSON may hold characters that are line breaks to Unicode."""
    rest = ""
    async for text in response.aiter_text():
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            yield line


def _answer(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) and response.status_code in NO_SERVER:
        raise KyroChatError(f"The server is away: a proxy answered with status {response.status_code}.", AWAY)
    if not isinstance(answer, dict):
        raise KyroChatError(
            f"This is no KyroChat: it answered with status {response.status_code}.", "UNEXPECTED_ANSWER"
        )
    return answer


def _only_field(answer: Mapping[str, Any]) -> Any:
    """Return the one root field of an answer; a problem in its place is raised."""
    if answer.get("errors"):
        error = answer["errors"][0]
        extensions = error.get("extensions") or {}
        raise KyroChatError(error["message"], extensions.get("code", ""), extensions)
    (value,) = (answer.get("data") or {}).values()
    if isinstance(value, dict) and value.get("__typename", "").endswith("Problem"):
        raise KyroChatError(value.get("message", ""), value["__typename"], value)
    return value
