"""Dense retrieval: embeddings in a vector index. It joins the lexical leg and never stands in its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.retrieval.ports import Embedder, VectorIndex

# Old and deleted versions are still in the index for a while: ask for more than is needed.
DENSE_CANDIDATES = 100
EMBEDDED_AT_ONCE = 100
# An answer waits no longer than this for its dense leg.
BUDGET_S = 4.0


@dataclass(frozen=True, slots=True)
class DenseRetrieval:
    """An embedder and the index that holds its vectors."""

    embedder: Embedder
    index: VectorIndex
    budget_s: float = BUDGET_S

    async def search(self, workspace_id: UUID, bot_id: UUID, question: str) -> Sequence[tuple[UUID, float]]:
        """Return (chunk id, score), best first. Hits may be stale.

        Raises:
            ProviderUnavailable: a provider is down. Whoever calls decides how long to wait: `budget_s`.
        """
        vector = await self.embedder.embed_query(question)
        return await self.index.search(workspace_id, bot_id, vector, DENSE_CANDIDATES)

    async def store(
        self, workspace_id: UUID, bot_id: UUID, document_id: UUID, version: int, texts: Sequence[tuple[UUID, str]]
    ) -> None:
        """Embed and store the texts of chunks, by chunk id; doing it again replaces them.

        Raises:
            ProviderUnavailable: not all of them are stored.
        """
        for start in range(0, len(texts), EMBEDDED_AT_ONCE):
            batch = texts[start : start + EMBEDDED_AT_ONCE]
            vectors = await self.embedder.embed_documents([text for _, text in batch])
            pairs = [(chunk_id, vector) for (chunk_id, _), vector in zip(batch, vectors, strict=True)]
            await self.index.upsert(workspace_id, bot_id, document_id, version, pairs)
