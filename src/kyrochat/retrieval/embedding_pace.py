"""How many texts a process has embedded in a minute: a provider's quota is shared with whoever asks questions."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from kyrochat.retrieval.ports import Embedder, Vector

# No more at once, so that several ingestions take turns.
AT_ONCE = 100


@dataclass(slots=True)
class Pace:
    """So many texts a minute, saved up for a minute at most. `clock` and `sleep` are there for tests."""

    per_minute: int
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _left: float = field(init=False)
    _at: float = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._left, self._at = float(self.per_minute), self.clock()

    async def wait_for(self, texts: int) -> None:
        """Return when there is room for so many, one caller after the other."""
        async with self._turn:
            # More than a minute's worth would never fit: it goes when the minute is full, and the next ones wait.
            wanted = min(texts, self.per_minute)
            while self._refreshed() < wanted:
                await self.sleep((wanted - self._left) * 60 / self.per_minute)
            self._left -= texts

    def charge(self, texts: int) -> None:
        """Count so many without waiting: somebody waits for the answer. Others wait longer."""
        self._refreshed()
        self._left -= texts

    def _refreshed(self) -> float:
        now = self.clock()
        self._left = min(float(self.per_minute), self._left + (now - self._at) * self.per_minute / 60)
        self._at = now
        return self._left


@dataclass(frozen=True, slots=True)
class PacedEmbedder:
    """An Embedder that keeps a pace."""

    embedder: Embedder
    pace: Pace

    @property
    def scheme(self) -> str:
        """The embedder's own."""
        return self.embedder.scheme

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text, in the same order, some at a time, as the pace allows.

        Raises:
            ProviderUnavailable: the provider failed after its retries.
        """
        vectors: list[Vector] = []
        for start in range(0, len(texts), AT_ONCE):
            batch = texts[start : start + AT_ONCE]
            await self.pace.wait_for(len(batch))
            vectors += await self.embedder.embed_documents(batch)
        return vectors

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, at once.

        Raises:
            ProviderUnavailable: the provider failed after its retries.
        """
        self.pace.charge(1)
        return await self.embedder.embed_query(text)
