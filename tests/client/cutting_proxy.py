"""A bad network between a client and a server: each connection breaks after so many bytes of answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CuttingProxy:
    """`allowance` says, for the first connection and each one after it, how many bytes come back; None for all."""

    target_port: int
    allowance: Callable[[int], int | None]
    port: int = 0
    connections: int = 0
    cuts: int = 0
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer, self.allowance(self.connections)))
        self.connections += 1
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        sending = asyncio.create_task(_copy(reader, back))
        returning = asyncio.create_task(self._return(there, writer, left))
        try:
            await asyncio.wait([sending, returning], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, returning):
                task.cancel()
            await asyncio.gather(sending, returning, return_exceptions=True)
            for each in (back, writer):
                # A reset, in the middle of whatever it was.
                each.transport.abort()
                with suppress(ConnectionError):
                    await each.wait_closed()

    async def _return(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        with suppress(ConnectionError):
            while piece := await there.read(16_384):
                if left is not None and len(piece) >= left:
                    writer.write(piece[:left])
                    await writer.drain()
                    self.cuts += 1
                    return
                left = None if left is None else left - len(piece)
                writer.write(piece)
                await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(16_384):
            writer.write(piece)
            await writer.drain()


@asynccontextmanager
async def cutting(target_port: int, allowance: Callable[[int], int | None]) -> AsyncGenerator[CuttingProxy, None]:
    """Listen meanwhile."""
    proxy = CuttingProxy(target_port, allowance)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        tasks = list(proxy.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
