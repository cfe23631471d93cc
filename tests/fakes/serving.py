"""Serves an ASGI app on a free loopback port, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp


class _QuietServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # Ctrl-C is pytest's.
        yield


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[str, None]:
    """Yield the app's base URL; at the end, whatever is still being answered is cut off."""
    # The protocol is named since asyncio sets TCP_NODELAY only where it is; without it each stream stalls for 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = _QuietServer(uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False))
        serving_task = asyncio.create_task(server.serve([listener]))
        try:
            async with asyncio.timeout(30):
                await server.listening.wait()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.force_exit = server.should_exit = True
            await serving_task
