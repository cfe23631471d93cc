"""Embeddings of questions that were asked lately: each is a request to a provider, and often takes the longest."""

from array import array
from dataclasses import dataclass, field
from uuid import UUID

from cachetools import TTLCache

from kyrochat.retrieval.ports import Embedder, Vector

# About 3 KB each at 768 dimensions.
MAX_EMBEDDINGS = 2_000
# A provider may change a model behind its name.
KEPT_S = 3_600.0

_Key = tuple[UUID, str, str]


def _new() -> "TTLCache[_Key, array[float]]":
    return TTLCache(MAX_EMBEDDINGS, KEPT_S)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingCache:
    """By workspace, scheme and question: how long an answer took must not tell what others have asked."""

    _kept: "TTLCache[_Key, array[float]]" = field(default_factory=_new)

    async def of(self, embedder: Embedder, workspace_id: UUID, question: str) -> tuple[Vector, bool]:
        """Return the question's embedding, and whether it was there.

        Raises:
            ProviderUnavailable: the provider failed after its retries.
        """
        key = (workspace_id, embedder.scheme, question)
        found = self._kept.get(key)
        if found is not None:
            return found, True
        made = self._kept[key] = array("f", await embedder.embed_query(question))
        return made, False
