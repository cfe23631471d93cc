"""A worker in a process of its own, to be killed at a step: `python -m tests.documents.ingest_process JSON`."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.db.engine import open_database
from kyrochat.documents.storage import open_store
from kyrochat.jobs.queue import Queue
from kyrochat.jobs.worker import Worker
from kyrochat.working import job_kinds


@dataclass(slots=True, eq=False)
class StopAtStep(Changes):
    """Doorbells that stop the n-th step of an ingestion for ever, within its transaction, and note that."""

    steps: dict[str, int] = field(default_factory=dict)
    log: Path = Path()
    _rung: Counter[str] = field(default_factory=Counter)

    async def announce(self, session: AsyncSession, topics: Iterable[str]) -> None:
        names = list(topics)
        await Changes.announce(self, session, names)
        self._rung.update(names)
        for name in names:
            if self.steps.get(name) == self._rung[name]:
                with self.log.open("a", encoding="utf-8") as log:
                    log.write(f"{name}\n")
                await asyncio.Event().wait()


async def main(url: str, files: str, log: str, steps: dict[str, int]) -> None:
    database = open_database(url)
    changes = StopAtStep(steps=steps, log=Path(log))
    kinds = job_kinds(database, changes, open_store(files))
    await Worker(Queue(database, lease_s=1.0, per_workspace=8), changes, kinds, concurrency=8, beat_s=0.3).run()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
