"""What KyroChat asks of a provider. Each port has an offline implementation in this package."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from uuid import UUID

from kyrochat.db.models import VectorSet
from kyrochat.retrieval.types import ModelEvent, Prompt

Vector = Sequence[float]


class AnswerModel(Protocol):
    """Writes an answer from a prompt."""

    @property
    def name(self) -> str:
        """What `Message.model` shows for an answer written by the default model."""
        ...

    def model_of(self, wanted: str) -> str:
        """Return what `Message.model` shows for a bot that asks for the model `wanted`, '' for none."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent, None]:
        """Yield TextPiece in order, then one Finished. Closing the generator ends the provider's request.

        Raises:
            ProviderUnavailable: before or between pieces; what was yielded stays valid.
        """
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def scheme(self) -> str:
        """Model, dimensions and task scheme in one string; vectors of two schemes are never compared."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one unit vector per text, in the same order.

        Raises:
            ProviderUnavailable: the provider failed after its retries.
        """
        ...

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, comparable with those of documents.

        Raises:
            ProviderUnavailable: the provider failed after its retries.
        """
        ...


class VectorIndex(Protocol):
    """Holds chunk vectors, those of different sets apart. It is never the truth: hits are joined with live rows
    before anybody sees them."""

    async def upsert(
        self, target: VectorSet, document_id: UUID, version: int, vectors: Sequence[tuple[UUID, Vector]]
    ) -> None:
        """Store the vectors of a version's chunks in the set, under their chunk ids.

        Raises:
            ProviderUnavailable: not all of them are stored.
        """
        ...

    async def search(
        self, target: VectorSet, query: Vector, limit: int, documents: Sequence[UUID] | None = None
    ) -> Sequence[tuple[UUID, float]]:
        """Return up to `limit` (chunk id, score) of the set, best first.

        With `documents` it looks for theirs; where these are too many to be told, it returns more than `limit` of all.

        Raises:
            ProviderUnavailable: the index did not answer in time.
        """
        ...

    async def settle(self, target: VectorSet) -> bool:
        """Wait until searches find what was stored in the set; False if that takes too long.

        Raises:
            ProviderUnavailable: the index did not answer.
        """
        ...

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        """Delete a document's vectors from all sets, all or but those of `keep_version`; return how many, once a
        search finds none.

        It may wait a minute for that: call it outside of transactions.

        Raises:
            ProviderUnavailable: it could not be deleted, or could not be verified.
        """
        ...

    async def delete_set(self, target: VectorSet) -> int:
        """Delete all vectors of a set, as `delete_document` does."""
        ...

    async def delete_workspace(self, workspace_id: UUID) -> int:
        """Delete all vectors of a workspace, as `delete_document` does."""
        ...


class Reranker(Protocol):
    """Reads a question and passages together, and says how well each of them answers it."""

    @property
    def scheme(self) -> str:
        """What a trace calls it."""
        ...

    async def rerank(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """Return how well each text answers the question, from 0 to 1, in their order.

        Raises:
            ProviderUnavailable: the provider failed.
        """
        ...


class VectorRemoval(Protocol):
    """Takes vectors away, wherever they are."""

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        """Delete a document's vectors, as `VectorIndex` does."""
        ...

    async def delete_workspace(self, workspace_id: UUID) -> int:
        """Delete all vectors of a workspace that do not go with its rows."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class StoredVector:
    """That an index holds a vector of a chunk; `scheme` is '' where it does not say of which."""

    chunk_id: UUID
    scheme: str


@runtime_checkable
class VectorLedger(Protocol):
    """What a vector index says of all that it holds: the reconciler compares that with the rows."""

    def stored(self, workspace_id: UUID) -> AsyncGenerator[StoredVector, None]:
        """Yield all vectors that are stored for a workspace, in no order.

        Raises:
            ProviderUnavailable: it could not be read to its end.
        """
        ...

    async def delete_stored(self, workspace_id: UUID, vectors: Sequence[StoredVector]) -> None:
        """Delete these.

        Raises:
            ProviderUnavailable: not all deletions were accepted.
        """
        ...
