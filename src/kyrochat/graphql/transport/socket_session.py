"""One WebSocket that speaks graphql-transport-ws, from its handshake to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.types import ExecutionResult

from kyrochat.errors import KyroError
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

logger = logging.getLogger("kyrochat.graphql")

SUBPROTOCOL = "graphql-transport-ws"
MAX_CLOSE_REASON_BYTES = 123

Params = Mapping[str, object]
# Starts an operation in a fresh context, and returns its results.
StartOperation = Callable[[WebSocket, Params, Operation], Awaitable[AsyncGenerator[ExecutionResult, None]]]
# May raise a KyroError, which closes the socket with 4403; returns how long the credentials last, in seconds.
OnConnect = Callable[[WebSocket, Params], Awaitable[float | None]]


async def accept_any_connection(_socket: WebSocket, _params: Params) -> None:
    """Let everyone in, for as long as they like: each operation's context says who may do what."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one socket may hold, and how long it may be silent."""

    max_operations: int = 20
    init_timeout_s: float = 10.0
    ping_interval_s: float = 20.0


async def serve_socket(
    socket: WebSocket, origins: Origins, start: StartOperation, on_connect: OnConnect, limits: SocketLimits
) -> None:
    """Shake hands and serve the socket until its end; foreign origins get 403, other protocols close with 4406."""
    if not origins.allow(socket.headers):
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
    await SocketSession(socket, start, on_connect, limits).run()


class SocketSession:
    """The state of one accepted socket; `run` is its whole life."""

    def __init__(
        self,
        socket: WebSocket,
        start: StartOperation,
        on_connect: OnConnect,
        limits: SocketLimits,
    ) -> None:
        self._socket = socket
        self._start = start
        self._on_connect = on_connect
        self._limits = limits
        self._params: Params | None = None
        self._acknowledged = False
        self._closed = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        # Also those that were told to stop, and still clean up.
        self._tasks: set[asyncio.Task[None]] = set()
        self._clocks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Serve messages until either side closes; every operation is over when this returns."""
        self._clock(self._close_after(self._limits.init_timeout_s, 4408, "Connection initialisation timeout"))
        try:
            while (text := await self._receive()) is not None:
                await self._handle(text)
        except ProtocolViolation as violation:
            await self._close(violation.code, violation.reason)
        finally:
            self._closed = True
            leftovers = [*self._clocks, *self._tasks]
            for task in leftovers:
                task.cancel()
            await asyncio.gather(*leftovers, return_exceptions=True)

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
            lifetime_s = await self._on_connect(self._socket, params)
        except KyroError as error:
            raise ProtocolViolation(4403, error.message) from None
        except Exception as error:
            present_exception(error, new_request_id())
            raise ProtocolViolation(4500, "Internal server error") from None
        await self._send("connection_ack")
        self._acknowledged = True
        self._clock(self._ping())
        if lifetime_s is not None:
            self._clock(self._close_after(lifetime_s, 4401, "The access token has expired"))

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
            results = await self._start(self._socket, params, operation)
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

    async def _close_after(self, delay_s: float, code: int, reason: str) -> None:
        await asyncio.sleep(delay_s)
        await self._close(code, reason)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._limits.ping_interval_s)
            await self._send("ping")

    def _clock(self, ticking: "Awaitable[None]") -> None:
        self._clocks.append(asyncio.ensure_future(ticking))
