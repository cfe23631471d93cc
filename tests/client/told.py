"""Networks and servers that do what a running one does once in a long time."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2

from kyrochat.client import KyroChatError

SESSION = {"__typename": "Session", "accessToken": "access", "refreshToken": "refresh"}
# A value of a stream's root field, or the error that it ends with.
Told = dict[str, Any] | KyroChatError


class Losing(httpx2.AsyncHTTPTransport):
    """A network that loses the first answer to a field: what was asked for is done, and nobody hears of it."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field.encode()
        self._has_lost = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if self._field in request.content and not self._has_lost:
            self._has_lost = True
            await response.aclose()
            raise httpx2.ReadError("The answer was lost.")
        return response


class Restarting(httpx2.AsyncHTTPTransport):
    """A proxy that has no server for the first request to each of some fields, and says so in a page of its own."""

    def __init__(self, status: int, *fields: str) -> None:
        super().__init__()
        self._status, self.fields = status, [field.encode() for field in fields]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        sent = await request.aread()
        for field in self.fields:
            if field in sent:
                self.fields.remove(field)
                return httpx2.Response(self._status, text="<html>Bad gateway</html>")
        return await super().handle_async_request(request)


def told(field: str, streams: Sequence[Sequence[Told]], asked: list[dict[str, Any]]) -> httpx2.MockTransport:
    """Return a server that lets everybody sign in, and has these streams of a field, one after the other.

    `asked` gets the variables of each stream.
    """
    left = iter(streams)

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if request.headers["accept"] != "text/event-stream":
            name = "refreshSession" if "refreshSession" in body["query"] else "login"
            return httpx2.Response(200, json={"data": {name: {**SESSION, "accessToken": f"access {len(asked)}"}}})
        asked.append(body["variables"])
        events = [*map(event, [_payload(field, each) for each in next(left)]), "event: complete\ndata: \n\n"]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text="".join(events))

    return httpx2.MockTransport(answer)


def event(payload: dict[str, Any]) -> str:
    return f"event: next\ndata: {json.dumps(payload)}\n\n"


def _payload(field: str, each: Told) -> dict[str, Any]:
    if isinstance(each, KyroChatError):
        return {"errors": [{"message": each.message, "extensions": {"code": each.code}}]}
    return {"data": {field: each}}
