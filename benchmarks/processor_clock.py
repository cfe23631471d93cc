"""How long processors were busy for a piece of work, whoever else wanted them meanwhile."""

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from kyrochat.db.engine import Database


@dataclass(frozen=True, slots=True)
class ProcessorClock:
    """The clock of this process and of the server process behind the one connection of a database on this machine."""

    server: Path

    @classmethod
    async def of(cls, database: Database) -> "ProcessorClock":
        """Return the clock of a database whose pool has one connection."""
        async with database.begin() as session:
            pid = (await (await session.connection()).execute(text("SELECT pg_backend_pid()"))).scalar_one()
        return cls(Path(f"/proc/{pid}/schedstat"))

    def read(self) -> float:
        """Return milliseconds, whose differences count; of this process only where the system tells no more."""
        try:
            server_ns = int(self.server.read_text().split()[0])
        except OSError:
            server_ns = 0
        return (time.process_time_ns() + server_ns) / 1e6
