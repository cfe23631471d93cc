"""Workers to be killed: `python -m tests.documents.soak_process JSON` forks one for each line that it reads.

Everything is imported once, so a worker is there in milliseconds and two hundred of them are a matter of a minute.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from kyrochat.db.changes import Changes
from kyrochat.db.engine import open_database
from kyrochat.documents.storage import open_store
from kyrochat.jobs.queue import Queue
from kyrochat.jobs.worker import Worker
from kyrochat.working import job_kinds

LEASE_S = 1.0


async def work(url: str, files: str) -> None:
    database, changes = open_database(url), Changes()
    queue = Queue(database, lease_s=LEASE_S, per_workspace=4, backoff_s=0.05)
    async with changes.listening(database.engine):
        await Worker(queue, changes, job_kinds(database, changes, open_store(files)), concurrency=3, beat_s=0.3).run()


def main(url: str, files: str) -> None:
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            asyncio.run(work(url, files))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os.waitpid(child, 0)


if __name__ == "__main__":
    assert Path(json.loads(sys.argv[1])["files"]).is_dir()
    main(**json.loads(sys.argv[1]))
