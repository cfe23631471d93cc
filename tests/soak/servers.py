"""Two servers on one database that are killed, frozen, stopped and started again, one at a time."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.server_process import Server, start

COUNT = 2


@dataclass
class Servers:
    """The servers that run. `harm` counts what was done to them."""

    data_dir: Path
    settings: dict[str, str]
    lease_s: float
    running: list[Server] = field(default_factory=list)
    every: list[Server] = field(default_factory=list)
    harm: Counter[str] = field(default_factory=Counter)
    # What happened when, in seconds since the start.
    story: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def any(self, luck: random.Random) -> str:
        """Return the address of a server; it may be down by the time that it is asked."""
        return luck.choice(self.running).graphql_url

    async def start(self) -> None:
        server = await start(self.data_dir, **self.settings)
        self.running.append(server)
        self.every.append(server)

    async def harm_them(self, luck: random.Random, every_s: tuple[float, float]) -> None:
        """Do harm to one after the other, for ever. There is always another one."""
        while True:
            await asyncio.sleep(luck.uniform(*every_s))
            server = luck.choice(self.running)
            what = luck.choices(["killed", "frozen", "stopped"], [6, 2, 1])[0]
            self.harm[what] += 1
            self.story.append(f"{time.monotonic() - self.began:.1f} {what} {server.url}")
            match what:
                case "frozen":
                    server.process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(luck.choice([0.5, 1.5]) * self.lease_s)
                    server.process.send_signal(signal.SIGCONT)
                case "killed":
                    self.running.remove(server)
                    await server.kill()
                    await self.start()
                case _:
                    self.running.remove(server)
                    await server.stop()
                    await self.start()

    def faults(self) -> list[str]:
        return [line for server in self.every for line in server.faults()]

    async def end(self) -> None:
        for server in self.every:
            if server.process.returncode is None:
                server.process.send_signal(signal.SIGCONT)
                await server.stop()


@asynccontextmanager
async def two_servers(data_dir: Path, lease_s: float, **settings: str) -> AsyncGenerator[Servers, None]:
    settings |= {"KYROCHAT_ANSWER_LEASE_S": str(lease_s), "KYROCHAT_WORKERS": "0"}
    servers = Servers(data_dir, settings, lease_s)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(servers.end)
        for _ in range(COUNT):
            await servers.start()
        yield servers
