"""A worker in a process of its own that stops for ever between a commit and a vector, to be killed there.

python -m tests.documents.vector_process JSON
"""

import asyncio
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from kyrochat.db.changes import Changes
from kyrochat.db.engine import open_database
from kyrochat.db.models import VectorSet
from kyrochat.db.states import VectorStore
from kyrochat.documents.storage import open_store
from kyrochat.jobs.queue import Queue
from kyrochat.jobs.worker import Worker
from kyrochat.retrieval.dense_setup import DenseSetup
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.pinecone import PineconeIndex
from kyrochat.retrieval.pinecone_indexes import PineconeIndexes
from kyrochat.retrieval.ports import Vector
from kyrochat.working import job_kinds
from tests.retrieval.dense.scene import Words


@dataclass
class LoggedWords(Words):
    """Writes down what it is paid for; the `stops_at`-th batch is never made."""

    log: Path = Path()
    stops_at: int = 0
    batches: int = 0

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.batches += 1
        if self.batches == self.stops_at:
            await stop(self.log)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"embedded {len(texts)}\n")
        return await Words.embed_documents(self, texts)


class StoppingIndex(PineconeIndex):
    """Stores vectors, and does not come back."""

    async def upsert(
        self, target: VectorSet, document_id: UUID, version: int, vectors: Sequence[tuple[UUID, Vector]]
    ) -> None:
        await PineconeIndex.upsert(self, target, document_id, version, vectors)
        stopping.count += 1
        if stopping.count == stopping.at:
            await stop(stopping.log)


@dataclass
class Stopping:
    at: int = 0
    count: int = 0
    log: Path = Path()


stopping = Stopping()


@dataclass(frozen=True)
class StoppingIndexes:
    indexes: PineconeIndexes

    def of(self, dimensions: int) -> PineconeIndex:
        return StoppingIndex(self.indexes.of(dimensions).connection)

    def opened(self) -> Collection[int]:
        return self.indexes.opened()


async def stop(log: Path) -> None:
    with log.open("a", encoding="utf-8") as noted:
        noted.write("stopped\n")
    await asyncio.Event().wait()


async def main(
    url: str, files: str, log: str, pinecone: tuple[str, str, str] | None, after: int = 0, before: int = 0
) -> None:
    """Stop before the `before`-th batch is embedded, or after the `after`-th is stored and not yet noted."""
    stopping.at, stopping.log = after, Path(log)
    words = LoggedWords(log=Path(log), stops_at=before)
    indexes = None if pinecone is None else StoppingIndexes(PineconeIndexes(*pinecone))
    setup = DenseSetup(Embedders(words), VectorStore.PGVECTOR if indexes is None else VectorStore.PINECONE, indexes)
    database = open_database(url)
    changes = Changes()
    kinds = job_kinds(database, changes, open_store(files), setup)
    await Worker(Queue(database, lease_s=1.0), changes, kinds, concurrency=1, beat_s=0.3).run()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
