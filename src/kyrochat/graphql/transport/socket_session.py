"""One WebSocket that speaks graphql-transport-ws, from its handshake to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from math import ceil
from typing import assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.types import ExecutionResult

from kyrochat.errors import InvalidCredentials, KyroError, RateLimited, Unauthenticated
from kyrochat.graphql.transport.grants import Grant, GrantEnd, OnConnect, Params, Renew, follow, renewed
from kyrochat.graphql.transport.masking import is_request_error, new_request_id, present_exception, present_result
from kyrochat.graphql.transport.operation import Operation
from kyrochat.graphql.transport.origins import Origins
from kyrochat.graphql.transport.refusals import RequestRefused, UnusableText, encode_json
from kyrochat.graphql.transport.socket_messages import (
    Complete,
    ConnectionInit,
    Ping,
    Pong,
    ProtocolViolation,
    Subscribe,
    parse_message,
)
from kyrochat.graphql.transport.socket_places import SocketPlaces

logger = logging.getLogger("kyrochat.graphql")

SUBPROTOCOL = "graphql-transport-ws"
MAX_CLOSE_REASON_BYTES = 123

# Starts an operation in a fresh context, and returns its results.
StartOperation = Callable[[WebSocket, Params, Renew, Operation], Awaitable[AsyncGenerator[ExecutionResult, None]]]


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one socket may hold, how long it may be silent, and how many of them there may be.

    Sockets are counted by the holder of their credentials; those without, by the address of the client.
    """

    max_operations: int = 20
    max_per_holder: int = 100
    init_timeout_s: float = 10.0
    ping_interval_s: float = 20.0


@dataclass(frozen=True, slots=True)
class SocketDoor:
    """What all sockets of one view share."""

    origins: Origins
    start: StartOperation
    on_connect: OnConnect
    address_of: Callable[[WebSocket], str]
    limits: SocketLimits
    places: SocketPlaces


async def serve_socket(socket: WebSocket, door: SocketDoor) -> None:
    """Shake hands and serve the socket until its end; foreign origins get 403, other protocols close with 4406."""
    if not door.origins.allow(socket.headers):
        logger.info("Refused a socket of the foreign origin %.100r", socket.headers.get("origin"))
        await socket.close(1008)
        return
    offered = SUBPROTOCOL in socket.scope.get("subprotocols", ())
    try:
        await socket.accept(SUBPROTOCOL if offered else None)
        if not offered:
            await socket.close(4406, "Subprotocol not acceptable")
            return
    except WebSocketDisconnect:
        return
    await SocketSession(socket, door).run()


class SocketSession:
    """The state of one accepted socket; `run` is its whole life."""

    def __init__(self, socket: WebSocket, door: SocketDoor) -> None:
        self._socket = socket
        self._door = door
        self._limits = door.limits
        self._params: Params | None = None
        self._grant = Grant()
        self._place: str | None = None
        self._acknowledged = False
        self._closed = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        # Also those that were told to stop, and still clean up.
        self._tasks: set[asyncio.Task[None]] = set()
        self._clocks: list[asyncio.Task[None]] = []
        self._life: asyncio.Task[GrantEnd] | None = None

    async def run(self) -> None:
        """Serve messages until either side closes; every operation is over when this returns."""
        self._clocks.append(asyncio.create_task(self._close_without_init()))
        try:
            while (text := await self._receive()) is not None:
                await self._handle(text)
        except ProtocolViolation as violation:
            await self._close(violation.code, violation.reason)
        finally:
            self._closed = True
            leftovers = [*self._clocks, *self._tasks, *([self._life] if self._life else [])]
            for task in leftovers:
                task.cancel()
            await asyncio.gather(*leftovers, return_exceptions=True)
            if self._place is not None:
                self._door.places.give_back(self._place)

    async def _receive(self) -> str | None:
        """Return the next text frame, or None when the socket is closed."""
        if self._closed:
            return None
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            return None
        text = frame.get("text")
        if not isinstance(text, str):
            raise ProtocolViolation(4400, "Send text frames.")
        return text

    async def _handle(self, text: str) -> None:
        message = parse_message(text)
        match message:
            case ConnectionInit():
                await self._initialise(message.params)
            case Subscribe():
                await self._subscribe(message)
            case Complete():
                # Not awaited: one operation that is slow to stop must not hold up the others.
                if task := self._operations.pop(message.id, None):
                    task.cancel()
            case Ping():
                await self._send("pong", payload=message.payload)
            case Pong():
                pass
            case _:
                assert_never(message)

    async def _initialise(self, params: Params) -> None:
        if self._params is not None:
            raise ProtocolViolation(4429, "Too many initialisation requests")
        self._params = params
        self._clocks.pop().cancel()
        try:
            grant = await self._door.on_connect(self._socket, params) or Grant()
        except Unauthenticated:
            # Like no credentials at all: signing in works with an old token at hand, and the rest fails by itself.
            grant = Grant()
        except RateLimited as error:
            # "Try again later": clients wait and do so, which they do not after a code of the protocol's own.
            raise ProtocolViolation(1013, error.message) from None
        except KyroError as error:
            raise ProtocolViolation(4403, error.message) from None
        except Exception as error:
            present_exception(error, new_request_id())
            raise ProtocolViolation(4500, "Internal server error") from None
        self._take_place(grant)
        self._follow(grant)
        await self._send("connection_ack")
        self._acknowledged = True
        self._clocks.append(asyncio.create_task(self._ping()))

    def _take_place(self, grant: Grant) -> None:
        who = f"address {self._door.address_of(self._socket)}" if grant.holder is None else f"holder {grant.holder}"
        if not self._door.places.take(who):
            grant.release()
            raise ProtocolViolation(4429, f"Too many sockets: {self._limits.max_per_holder} are open already")
        self._place = who

    def _follow(self, grant: Grant) -> None:
        """Close the socket when the grant is over, in place of the one before."""
        self._grant = grant
        if self._life is not None:
            self._life.cancel()
        self._life = follow(grant, self._warn)
        self._life.add_done_callback(self._on_grant_over)

    def _on_grant_over(self, life: "asyncio.Task[GrantEnd]") -> None:
        if not life.cancelled():
            end = life.result()
            self._clocks.append(asyncio.create_task(self._close(end.code, end.reason)))

    async def _warn(self, left_s: float) -> None:
        await self._send("ping", payload={"accessTokenExpiresInSeconds": ceil(left_s)})

    async def renew(self, params: Params) -> Grant:
        """Go on with new credentials of the same holder; operations that run are not touched.

        Raises:
            KyroError: they are not valid, or somebody else's.
        """
        assert self._params is not None
        together = renewed(self._params, params)
        grant = await self._door.on_connect(self._socket, together) or Grant()
        if grant.holder is None or grant.holder != self._grant.holder:
            grant.release()
            raise InvalidCredentials("These credentials are not of whom the socket belongs to. Open another socket.")
        self._params = together
        self._follow(grant)
        return grant

    async def _subscribe(self, message: Subscribe) -> None:
        if not self._acknowledged or self._params is None:
            raise ProtocolViolation(4401, "Unauthorized")
        if message.id in self._operations:
            raise ProtocolViolation(4409, f"Subscriber for {message.id} already exists")
        if isinstance(message.operation, UnusableText):
            await self._send("error", message.id, [message.operation.as_error()])
            return
        limit = self._limits.max_operations
        if len(self._operations) >= limit or len(self._tasks) >= 2 * limit:
            refused = RequestRefused(429, "RATE_LIMITED", f"A socket holds at most {limit} operations at a time.")
            await self._send("error", message.id, [refused.as_error()])
            return
        task = asyncio.create_task(self._operate(message.id, message.operation, self._params))
        self._operations[message.id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _operate(self, id_: str, operation: Operation, params: Params) -> None:
        request_id = new_request_id()
        try:
            results = await self._door.start(self._socket, params, self.renew, operation)
            async with aclosing(results):
                is_first = True
                async for result in results:
                    payload = present_result(result, request_id)
                    if is_first and is_request_error(result):
                        await self._finish("error", id_, payload["errors"])
                        return
                    await self._send("next", id_, payload)
                    is_first = False
            await self._finish("complete", id_)
        except Exception as error:
            await self._finish("error", id_, [present_exception(error, request_id)])

    async def _finish(self, kind: str, id_: str, payload: object = None) -> None:
        # Forgotten first: the client may use the id again as soon as it has the message.
        self._operations.pop(id_, None)
        await self._send(kind, id_, payload)

    async def _send(self, kind: str, id_: str | None = None, payload: object = None) -> None:
        if self._closed:
            return
        message: dict[str, object] = {"type": kind}
        if id_ is not None:
            message["id"] = id_
        if payload is not None:
            message["payload"] = payload
        try:
            await self._socket.send_text(encode_json(message))
        except WebSocketDisconnect:
            # The client is gone: the frame that says so is on its way to `_receive`.
            self._closed = True

    async def _close(self, code: int, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        # A task that waits to send would otherwise find the socket closed under its feet.
        for task in self._tasks:
            task.cancel()
        reason = reason.encode(errors="replace")[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
        # The client may have closed first.
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code, reason)

    async def _close_without_init(self) -> None:
        await asyncio.sleep(self._limits.init_timeout_s)
        await self._close(4408, "Connection initialisation timeout")

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._limits.ping_interval_s)
            await self._send("ping")
