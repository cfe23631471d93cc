"""A worker that encodes bots anew, chunk by chunk, to be killed: `python -m tests.documents.tending_process URL`."""

import asyncio
import sys

from kyrochat.bots.index_jobs import TEND_INDEX
from kyrochat.db.changes import Changes
from kyrochat.db.engine import open_database
from kyrochat.documents.indexing import IndexTending
from kyrochat.jobs.queue import Queue
from kyrochat.jobs.worker import Kind, Worker
from tests.documents.test_indexing import TWO


async def main(url: str) -> None:
    database, changes = open_database(url), Changes()

    async def on_failed(*_: object) -> None:
        raise AssertionError

    # Chunk by chunk, so that there is always one to be killed at.
    kinds = {TEND_INDEX: Kind(IndexTending(database, changes, TWO, batch_chunks=1), on_failed)}
    await Worker(Queue(database, lease_s=2.0), changes, kinds, concurrency=1, beat_s=0.5).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
