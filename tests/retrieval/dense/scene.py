"""Embedders and indexes for tests that are about something else, and dense retrieval made of them."""

import asyncio
import hashlib
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from kyrochat.db.engine import Database
from kyrochat.db.states import VectorStore
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.dense_setup import DenseSetup
from kyrochat.retrieval.embedders import Embedders, none_other
from kyrochat.retrieval.ports import Embedder, Vector, VectorIndex


class Compass:
    """An embedder to which everything lies in the north."""

    scheme = "compass"

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        return [[1.0, 0.0]] * len(texts)

    async def embed_query(self, text: str) -> Vector:
        return [1.0, 0.0]


@dataclass
class Words:
    """An embedder to which texts are near that share words; it remembers what it was asked for."""

    scheme: str = "words/64"
    dimensions: int = 64
    embedded: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.embedded += texts
        return [self._of(text) for text in texts]

    async def embed_query(self, text: str) -> Vector:
        self.asked.append(text)
        return self._of(text)

    def _of(self, text: str) -> Vector:
        vector = [1e-3] * self.dimensions
        for word in re.findall(r"\w+", text.lower()):
            digest = hashlib.blake2b(f"{self.scheme} {word}".encode(), digest_size=4).digest()
            vector[int.from_bytes(digest[:3], "big") % self.dimensions] += 1.0 if digest[3] % 2 else -1.0
        norm = math.hypot(*vector)
        return [value / norm for value in vector]


@dataclass
class Gated(Words):
    """Embeds `free` texts at once, and all others when the gate opens."""

    free: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        if len(self.embedded) + len(texts) > self.free:
            self.reached.set()
            await self.gate.wait()
        return await Words.embed_documents(self, texts)


@dataclass(frozen=True)
class OneIndex:
    """One index for vectors of any length."""

    index: VectorIndex

    def of(self, dimensions: int) -> VectorIndex:
        return self.index

    def opened(self) -> Collection[int]:
        return (2,)


def elsewhere(index: VectorIndex, embedder: Embedder | None = None) -> DenseSetup:
    """What stores its vectors in `index`, outside of PostgreSQL."""
    return DenseSetup(Embedders(embedder or Compass()), VectorStore.PINECONE, OneIndex(index))


def inside(embedder: Embedder, *others: Embedder) -> DenseSetup:
    """What stores its vectors in PostgreSQL; questions can be asked with the others too."""
    known = {each.scheme: each for each in others}
    return DenseSetup(Embedders(embedder, known.get if others else none_other), VectorStore.PGVECTOR)


def dense_on(database: Database, setup: DenseSetup) -> DenseRetrieval:
    """Return dense retrieval over a pool."""
    dense = setup.retrieval(database)
    assert dense is not None
    return dense
