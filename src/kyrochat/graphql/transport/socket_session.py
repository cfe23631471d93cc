"""One WebSocket that speaks graphql-transport-ws, from its handshake to its end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.types import ExecutionResult

from kyrochat.errors import InvalidCredentials, KyroError, Overloaded, RateLimited, Unauthenticated
from kyrochat.graphql.transport.grants import Grant, GrantEnd, OnConnect, Params, Renew, follow, renewed
from kyrochat.graphql.transport.masking import new_request_id, present_exception
from kyrochat.graphql.transport.operation import Operation
from kyrochat.graphql.transport.origins import Origins
from kyrochat.graphql.transport.outbox import Outbox
from kyrochat.graphql.transport.places import Places, counted_as
from kyrochat.graphql.transport.socket_messages import (
    Complete,
    ConnectionInit,
    Ping,
    Pong,
    ProtocolViolation,
    Subscribe,
    parse_message,
)
from kyrochat.graphql.transport.socket_operations import SocketOperations

logger = logging.getLogger("kyrochat.graphql")

SUBPROTOCOL = "graphql-transport-ws"

# Starts an operation in a fresh context, and returns its results.
StartOperation = Callable[[WebSocket, Params, Renew, Operation], Awaitable[AsyncGenerator[ExecutionResult, None]]]


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one socket may hold, how long it may be silent, and how many of them there may be.

    Sockets are counted by the holder of their credentials; those without, by the address of the client.
    """

    max_operations: int = 20
    max_held_bytes: int = 1024 * 1024
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
    places: Places


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
        self._outbox = Outbox(socket)
        self._operations = SocketOperations(self._outbox, door.limits.max_operations, door.limits.max_held_bytes)
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
            self._outbox.is_closed = True
            clocks = [*self._clocks, *([self._life] if self._life else [])]
            for task in clocks:
                task.cancel()
            await asyncio.gather(*clocks, *self._operations.cancel(), return_exceptions=True)
            if self._place is not None:
                self._door.places.give_back(self._place)

    async def _receive(self) -> str | None:
        """Return the next text frame, or None when the socket is closed."""
        # Who does not read is not listened to: what is asked for next would only wait.
        await self._outbox.drained()
        if self._outbox.is_closed:
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
                self._operations.complete(message.id)
            case Ping():
                await self._outbox.send("pong", payload=message.payload)
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
        except (RateLimited, Overloaded) as error:
            # "Try again later": clients wait and do so, which they do not after a code of the protocol's own.
            raise ProtocolViolation(1013, error.message) from None
        except KyroError as error:
            raise ProtocolViolation(4403, error.message) from None
        except Exception as error:
            failure = present_exception(error, new_request_id())
            is_busy = failure["extensions"] == {"code": "OVERLOADED"}
            raise ProtocolViolation(1013 if is_busy else 4500, str(failure["message"])) from None
        self._take_place(grant)
        self._follow(grant)
        await self._outbox.send("connection_ack")
        self._acknowledged = True
        self._clocks.append(asyncio.create_task(self._ping()))

    def _take_place(self, grant: Grant) -> None:
        who = counted_as(grant, self._door.address_of(self._socket))
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
        await self._outbox.send("ping", payload={"accessTokenExpiresInSeconds": ceil(left_s)})

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
        await self._operations.begin(message, partial(self._door.start, self._socket, self._params, self.renew))

    async def _close(self, code: int, reason: str) -> None:
        # A task that waits to send would otherwise find the socket closed under its feet.
        self._operations.cancel()
        await self._outbox.close(code, reason)

    async def _close_without_init(self) -> None:
        await asyncio.sleep(self._limits.init_timeout_s)
        await self._close(4408, "Connection initialisation timeout")

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._limits.ping_interval_s)
            await self._outbox.send("ping")
