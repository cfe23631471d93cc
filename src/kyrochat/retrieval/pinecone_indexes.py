"""Pinecone's indexes, one for each length of vectors."""

from collections.abc import Collection
from dataclasses import dataclass, field

from kyrochat.retrieval.pinecone import PineconeIndex, open_pinecone
from kyrochat.retrieval.pinecone_connection import Timeouts
from kyrochat.retrieval.pinecone_names import index_name


@dataclass(frozen=True, slots=True)
class PineconeIndexes:
    """Opens each index once, when it is first asked for; `name` is that of the index for vectors of usual length."""

    api_key: str = field(repr=False)
    host: str | None
    name: str
    timeouts: Timeouts | None = None
    _opened: dict[int, PineconeIndex] = field(default_factory=dict)

    def of(self, dimensions: int) -> PineconeIndex:
        """Return the index for vectors of that length; it need not exist yet."""
        if dimensions not in self._opened:
            self._opened[dimensions] = open_pinecone(
                self.api_key,
                self.host,
                index_name(self.name, dimensions),
                dimensions=dimensions,
                timeouts=self.timeouts,
            )
        return self._opened[dimensions]

    def opened(self) -> Collection[int]:
        """Return the lengths that `of` was asked for; 0 is none, but that of a set without its first vector."""
        return tuple(length for length in self._opened if length)

    async def close(self) -> None:
        """Close all connections."""
        for index in self._opened.values():
            await index.close()
