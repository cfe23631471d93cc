"""A wire to PostgreSQL that can be made to drop what is sent, without a word to either side."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kyrochat.db.engine import asyncpg_url

NOTIFICATION = b"A"


@dataclass
class Wire:
    """`url` leads over it. `is_dead` drops everything, `drops_notifications` what PostgreSQL says unasked."""

    url: str
    is_dead: bool = False
    drops_notifications: bool = False
    connections: int = 0
    dropped: int = 0
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def close(self) -> None:
        """Cut all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        # Transports are closed in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if not self.is_dead:
                    writer.write(data)
                    await writer.drain()
        writer.close()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                # One message: its kind, and its length, which includes itself.
                head = await reader.readexactly(5)
                message = head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                if self.is_dead or (self.drops_notifications and head[:1] == NOTIFICATION):
                    self.dropped += 1
                else:
                    writer.write(message)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncGenerator[Wire, None]:
    """Lay a wire to the server of `url`, which listens on a socket in the file system."""
    parsed = asyncpg_url(url)
    port = str(parsed.query["port"])
    server_path = Path(str(parsed.query["host"])) / f".s.PGSQL.{port}"
    with tempfile.TemporaryDirectory(prefix="wire-") as directory:
        through = parsed.update_query_dict({"host": directory, "port": port})
        wire = Wire(through.render_as_string(hide_password=False))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            wire.connections += 1
            from_server, to_server = await asyncio.open_unix_connection(str(server_path))
            wire._writers += [to_server, writer]
            pumps = (wire._to_server(reader, to_server), wire._to_client(from_server, writer))
            wire._tasks += [asyncio.create_task(pump) for pump in pumps]

        server = await asyncio.start_unix_server(serve, Path(directory) / f".s.PGSQL.{port}")
        try:
            yield wire
        finally:
            server.close()
            await wire.close()
