"""Cuts clients that stop reading: uvicorn itself waits for them for ever."""

import asyncio
import socket
import struct
from typing import Any, cast

# A client that takes not one byte for so long, with data waiting for it, is gone.
STALL_TIMEOUT_S = 30.0
# What the kernel takes off our hands per connection. Its own choice goes up to megabytes: memory for every
# stalled client, and a buffer so large that a slow client looks like a stalled one.
SEND_BUFFER_BYTES = 128 * 1024
# Closes with a reset: otherwise the kernel keeps what was not read, and tries for minutes to get rid of it.
_NO_LINGER = struct.pack("ii", 1, 0)


class StallGuard:
    """Aborts a connection whose send buffer is full and does not shrink.

    `transport.close()` waits for the buffer to drain, which a client that stopped reading never lets happen;
    its generators and its socket would live for ever.
    """

    def __init__(self, stall_timeout_s: float) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.WriteTransport) -> None:
        """Begin to watch: the buffer is full."""
        self.stop()
        self._arm(transport, transport.get_write_buffer_size())

    def stop(self) -> None:
        """Stop watching: the buffer has drained, or the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, transport: asyncio.WriteTransport, buffered_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._stall_timeout_s, self._check, transport, buffered_bytes)

    def _check(self, transport: asyncio.WriteTransport, buffered_bytes: int) -> None:
        now_bytes = transport.get_write_buffer_size()
        if now_bytes >= buffered_bytes:
            cut(transport)
        else:
            self._arm(transport, now_bytes)


def cut(transport: asyncio.WriteTransport) -> None:
    """End a connection at once, whatever waits to be sent."""
    if connection := transport.get_extra_info("socket"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class CutsStalledClients(asyncio.Protocol):
    """Goes in front of a protocol of uvicorn's, whose methods do the work."""

    stall_timeout_s = STALL_TIMEOUT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = StallGuard(self.stall_timeout_s)
        self._watched: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what may wait in the kernel."""
        self._watched = cast("asyncio.Transport", transport)
        if connection := transport.get_extra_info("socket"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Watch a client whose data piles up."""
        super().pause_writing()
        if self._watched is not None:
            self._guard.start(self._watched)

    def resume_writing(self) -> None:
        """Stop watching: the client reads again."""
        super().resume_writing()
        self._guard.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching: the client is gone."""
        self._guard.stop()
        super().connection_lost(exc)
