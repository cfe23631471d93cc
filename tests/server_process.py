"""The server as users run it: a process of its own, a data directory, and nothing but sockets in between."""

import asyncio
import os
import re
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from tests.db.embedded.processes import stop_what_is_left

START_TIMEOUT_S = 60
# What Kubernetes grants, less a margin.
STOP_TIMEOUT_S = 25
_READY = re.compile(r"ready in [\d.]+ s .*?(http://\S+)/graphql\b")
_FAULTS = re.compile(r'Traceback|"exception"|"level": "(error|critical)"|never (awaited|retrieved)|ResourceWarning')


def environment(**settings: str) -> dict[str, str]:
    """Return this process' environment, without any setting of KyroChat but the given ones."""
    foreign = ("KYROCHAT_", "GEMINI", "GOOGLE", "PINECONE", "DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"KYROCHAT_LOG_FORMAT": "json", "KYROCHAT_RATE_LIMITS": "off"} | settings


def kyrochat(*arguments: str | Path) -> list[str]:
    """Return the command line of a `kyrochat` command."""
    return [sys.executable, "-m", "kyrochat", *map(str, arguments)]


@dataclass
class Server:
    """A running server. `url` has no path; `ready_s` is from the start of Python to the line that says so."""

    process: Process
    url: str
    ready_s: float
    log: Path
    data_dir: Path
    was_killed: bool = False

    @property
    def graphql_url(self) -> str:
        return self.url + "/graphql"

    def faults(self) -> list[str]:
        """Return the lines of the log that tell of a bug."""
        return [line for line in self.log.read_text("utf-8").splitlines() if _FAULTS.search(line)]

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_TIMEOUT_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """Kill the server where it stands; its PostgreSQL goes on, as after any crash."""
        self.was_killed = True
        self.process.kill()
        await self.process.wait()


async def start(data_dir: Path, **settings: str) -> Server:
    """Start a server on a free port, and wait until it listens."""
    data_dir.mkdir(parents=True, exist_ok=True)
    number = len(list(data_dir.parent.glob(f"{data_dir.name}-*.log")))
    log = data_dir.parent / f"{data_dir.name}-{number}.log"
    began = time.monotonic()
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *kyrochat("serve", "--data-dir", data_dir, "--port", "0"),
            stdout=PIPE,
            stderr=stderr,
            env=environment(**settings),
            cwd=data_dir.parent,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
        ready = _READY.search(line)
        assert ready is not None, f"{line!r} {log.read_text('utf-8')}"
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Server(process, ready[1], time.monotonic() - began, log, data_dir)


@asynccontextmanager
async def serving(data_dir: Path, **settings: str) -> AsyncGenerator[Server, None]:
    """Run a server meanwhile. It ends in order, unless the test ends it; of a killed one PostgreSQL is left over."""
    server = await start(data_dir, **settings)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            await _end(server)


async def _end(server: Server) -> None:
    try:
        await server.stop()
    except TimeoutError:
        await server.kill()
        await asyncio.to_thread(stop_what_is_left, server.data_dir)
        raise
