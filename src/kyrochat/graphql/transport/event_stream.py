"""Results as server-sent events, in the distinct-connections mode of GraphQL over SSE."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.types import Message, Receive, Scope, Send
from strawberry.types import ExecutionResult

from kyrochat.errors import Unauthenticated
from kyrochat.graphql.transport.grants import Grant, follow
from kyrochat.graphql.transport.masking import present_exception, present_result
from kyrochat.graphql.transport.places import Places
from kyrochat.graphql.transport.refusals import RequestRefused, encode_json, refusal_response

# Proxies drop connections that are silent for 30 to 60 seconds.
KEEP_ALIVE_S = 15.0
# Each takes a connection and about 45 KB, and in a crowd of them each looks by itself when something changes. So many
# answers of one person can be under way, and a program passes on those of many.
MAX_PER_HOLDER = 500
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Accept"),
]


@dataclass(slots=True)
class OpenStreams:
    """The event streams that a view serves now, so that a server that shuts down can end them, and their places."""

    places: Places
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def add(self, task: asyncio.Task[None]) -> None:
        """Remember `task` until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end_all(self) -> None:
        """End every stream without `complete`: clients then know to connect again."""
        for task in tuple(self._tasks):
            task.cancel()


@dataclass(frozen=True, slots=True)
class EventStream:
    """An ASGI response: one `next` event per result, then `complete`; comments keep it alive in between.

    When the grant is over, an error says so and the stream is complete. Whatever ends it, the client included,
    `results` is closed before it returns. Who has as many streams as he may is refused.
    """

    results: AsyncGenerator[ExecutionResult, None]
    request_id: str
    open_streams: OpenStreams
    grant: Grant
    who: str
    keep_alive_s: float = KEEP_ALIVE_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the results, the grant or the client are gone."""
        places = self.open_streams.places
        if not places.take(self.who):
            self.grant.release()
            await self.results.aclose()
            too_many = f"Too many event streams: {places.max_per_holder} are open already."
            await refusal_response(RequestRefused(429, "RATE_LIMITED", too_many))(scope, receive, send)
            return
        try:
            await self._stream(receive, send)
        finally:
            places.give_back(self.who)

    async def _stream(self, receive: Receive, send: Send) -> None:
        pump = asyncio.create_task(self._pump(send))
        self.open_streams.add(pump)
        pulse = asyncio.create_task(self._keep_alive(send))
        gone = asyncio.create_task(_disconnected(receive))
        over = follow(self.grant)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await asyncio.wait({pump, gone, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_over = over.done() and not pump.done()
            for task in (pulse, gone, over, pump):
                task.cancel()
            await asyncio.gather(pulse, gone, over, pump, return_exceptions=True)
        if is_over:
            reason = Unauthenticated(f"{over.result().reason}. Send a new token, and resume where this ends.")
            await self._send_failure(send, reason)
            await send(_event("complete"))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        async with aclosing(self.results):
            try:
                async for result in self.results:
                    await send(_event("next", encode_json(present_result(result, self.request_id))))
            except Exception as error:
                await self._send_failure(send, error)
        await send(_event("complete"))

    async def _send_failure(self, send: Send, error: Exception) -> None:
        failure = {"errors": [present_exception(error, self.request_id)]}
        await send(_event("next", encode_json(failure)))

    async def _keep_alive(self, send: Send) -> None:
        while True:
            await asyncio.sleep(self.keep_alive_s)
            await send(_chunk(": keep-alive\n\n"))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(name: str, data: str = "") -> Message:
    # Line feeds alone: there are clients that look for "\n\n", and browsers ignore events without data.
    return _chunk(f"event: {name}\ndata: {data}\n\n")


def _chunk(text: str) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}
