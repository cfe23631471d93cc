"""A connection that listens to a channel, and notices when it has become deaf.

A broken connection is told by nobody when the network just drops what is sent, and behind a pooler of transactions a
session that listens hears nothing from the start. So it asks for a sign of life every second, and sends a notification
to itself now and then.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

PULSE_S = 1.0
# Waited for twice: a loop that was busy all the while sees its clocks before its sockets.
ANSWER_S = 0.5
# A notification takes a transaction id and a write, a sign of life does not.
ECHO_EVERY_S = 30.0
NAME = "kyrochat-listener"


class Deaf(Exception):
    """The connection does not hear, although nobody has said that it is closed."""


@dataclass(slots=True)
class Listener:
    """A connection that has proved that it hears."""

    connection: Any
    channel: str
    echo_every_s: float = ECHO_EVERY_S
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _echo: str = field(default_factory=lambda: f"echo:{uuid4()}")
    _echoed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_deaf(self) -> None:
        """Return when the connection is closed.

        Raises:
            Deaf: it does not answer, or does not hear itself.
        """
        pulses = 0
        while not await _within(PULSE_S, self.closed):
            pulses += 1
            if pulses * PULSE_S >= self.echo_every_s:
                pulses = 0
                await self.must_hear_itself()
            else:
                await self._must_answer("SELECT 1")

    async def must_hear_itself(self) -> None:
        """Check that a notification arrives.

        Raises:
            Deaf: it does not.
        """
        self._echoed.clear()
        await self._must_answer(f"NOTIFY {self.channel}, '{self._echo}'")
        if not await _within(ANSWER_S, self._echoed) and not await _within(ANSWER_S, self._echoed):
            raise Deaf

    def is_echo(self, payload: str) -> bool:
        """Say whether it is the notification that this connection has sent to itself, and note that it has arrived."""
        if payload == self._echo:
            self._echoed.set()
        return payload == self._echo

    async def _must_answer(self, statement: str) -> None:
        answering = asyncio.create_task(self.connection.execute(statement))
        try:
            for _ in range(2):
                await asyncio.wait([answering], timeout=ANSWER_S)
            if not answering.done():
                raise Deaf
            answering.result()
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await answering


@asynccontextmanager
async def listening(
    engine: AsyncEngine, channel: str, hear: Callable[[str], None], echo_every_s: float = ECHO_EVERY_S
) -> AsyncGenerator[Listener, None]:
    """Give a listener on a connection of its own, which passes the payloads of the channel's notifications to `hear`.

    Raises:
        Deaf: notifications do not arrive.
    """
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        listener = Listener(raw, channel, echo_every_s)

        def on_notification(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            if not listener.is_echo(str(payload)):
                hear(str(payload))

        try:
            raw.add_termination_listener(lambda _: listener.closed.set())
            # For whoever looks at pg_stat_activity.
            await raw.execute(f"SET application_name = '{NAME}'")
            await raw.add_listener(channel, on_notification)
            await listener.must_hear_itself()
            yield listener
        finally:
            # It has a listener and must not go back to the pool.
            await connection.invalidate()


async def _within(timeout_s: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()
