"""What a flood of sign-ins does to the others, and what the clock tells of accounts: `python -m benchmarks.sign_in`.

The figures that travel between machines are the ratio of the two medians, and for how long the event loop worked
without coming back; on a busy machine it is late by more than that, since others work too.
"""

import asyncio
import json
import resource
import socket
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from kyrochat.accounts.sessions import SessionService
from kyrochat.accounts.viewer import Client
from kyrochat.app import KyroApp
from kyrochat.db.access import DatabaseAccess, database_access
from kyrochat.errors import InvalidCredentials
from kyrochat.graphql.transport.uvicorn_options import UVICORN_OPTIONS
from kyrochat.serving import KyroServer
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings

KNOWN, UNKNOWN = "known@example.org", "unknown@example.org"
PASSWORD = "correct horse battery staple"
FLOOD = 500
SAMPLES = 200
PROBE_S = 0.002
QUIET_S = 2.0


@dataclass
class Lag:
    """The longest that the event loop was late, and worked in one go, in milliseconds."""

    late_ms: float = 0.0
    worked_ms: float = 0.0

    def __str__(self) -> str:
        return f"event loop late by at most {self.late_ms:.0f} ms, busy for at most {self.worked_ms:.0f} ms"


@asynccontextmanager
async def lag() -> AsyncGenerator[Lag, None]:
    """Measure meanwhile."""
    found = Lag()

    async def probe() -> None:
        while True:
            due, worked_s = time.perf_counter() + PROBE_S, time.thread_time()
            await asyncio.sleep(PROBE_S)
            found.late_ms = max(found.late_ms, (time.perf_counter() - due) * 1e3)
            found.worked_ms = max(found.worked_ms, (time.thread_time() - worked_s) * 1e3)

    task = asyncio.create_task(probe())
    try:
        yield found
    finally:
        task.cancel()


class MeasuredServer(KyroServer):
    """A server that others can wait for."""

    def __init__(self, config: uvicorn.Config, app: KyroApp, settings: Settings, started_at: float) -> None:
        super().__init__(config, app, settings, started_at)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def serving(settings: Settings, access: DatabaseAccess) -> AsyncGenerator[tuple[KyroServer, KyroApp], None]:
    """Serve in this process' own event loop, which is the one that is measured."""
    app = KyroApp(settings, access)
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on", **UVICORN_OPTIONS)
    server = MeasuredServer(config, app, settings, time.monotonic())
    task = asyncio.create_task(server.serve())
    await server.listening.wait()
    try:
        yield server, app
    finally:
        server.should_exit = True
        await task


async def quiet() -> None:
    """Print how late the event loop is when nothing happens."""
    async with lag() as found:
        await asyncio.sleep(QUIET_S)
    sys.stdout.write(f"nothing for {QUIET_S:.0f} s: {found}\n")


async def flood(server: KyroServer, networks: int) -> None:
    """Print what comes of many sign-ins at once from so many networks."""
    before_mb = peak_mb()
    port = server.servers[0].sockets[0].getsockname()[1]
    arguments = ("-m", "benchmarks.sign_in_client", str(port), str(FLOOD), str(networks))
    async with lag() as found:
        client = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
        output, _ = await client.communicate()
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(json.loads(output).items()))
    memory_mb = peak_mb() - before_mb
    sys.stdout.write(f"{FLOOD} sign-ins from {networks} networks: {told}; {found}, memory +{memory_mb:.0f} MB\n")


def peak_mb() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def medians_ms(sessions: SessionService) -> tuple[float, float]:
    """Return how long a wrong password takes for an account that exists, and for one that does not, one by one."""
    took: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    for number in range(SAMPLES):
        # In turn, so that whatever else the machine does meets both.
        for email in (KNOWN, UNKNOWN):
            began_at = time.perf_counter()
            try:
                await sessions.login(email, "a wrong password", Client(f"2001:db8:2:{number:x}::1"))
            except InvalidCredentials:
                took[email].append((time.perf_counter() - began_at) * 1e3)
    return statistics.median(took[KNOWN]), statistics.median(took[UNKNOWN])


async def main() -> None:
    """Print the figures of a fresh server: with limits for the flood, without them for the clock."""
    with tempfile.TemporaryDirectory(prefix="kyrochat-bench-") as directory:
        settings = Settings(
            data_dir=Path(directory), workers=0, rate_limits=Switch.ON, trusted_proxies="127.0.0.1", port=0
        )
        async with database_access(settings) as access:
            async with serving(settings, access) as (server, _):
                await quiet()
                await flood(server, 1)
                await flood(server, FLOOD)
            async with serving(settings.model_copy(update={"rate_limits": Switch.OFF}), access) as (_, app):
                services = app.runtime.services
                await services.registration.register(KNOWN, PASSWORD, Client("192.0.2.1"))
                known_ms, unknown_ms = await medians_ms(services.sessions)
        sys.stdout.write(
            f"A wrong password: {known_ms:.1f} ms for an account, {unknown_ms:.1f} ms for none,"
            f" ratio {unknown_ms / known_ms:.3f}\n"
        )


if __name__ == "__main__":
    asyncio.run(main())
