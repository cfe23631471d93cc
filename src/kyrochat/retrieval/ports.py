"""What KyroChat asks of a provider. Each port has an offline implementation in this package."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, runtime_checkable
from uuid import UUID

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
    """Holds chunk vectors outside PostgreSQL, one namespace a workspace. It is never the truth: hits are
    joined with live rows before anybody sees them."""

    async def upsert(
        self,
        workspace_id: UUID,
        bot_id: UUID,
        document_id: UUID,
        version: int,
        vectors: Sequence[tuple[UUID, Vector]],
    ) -> None:
        """Store the vectors under their chunk ids.

        Raises:
            ProviderUnavailable: not all of them are stored.
        """
        ...

    async def search(self, workspace_id: UUID, bot_id: UUID, query: Vector, limit: int) -> Sequence[tuple[UUID, float]]:
        """Return up to `limit` (chunk id, score), best first.

        Raises:
            ProviderUnavailable: the index did not answer in time.
        """
        ...

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        """Delete a document's vectors, all or but those of `keep_version`; return how many, once a search finds none.

        It may wait a minute for that: call it outside of transactions.

        Raises:
            ProviderUnavailable: it could not be deleted, or could not be verified.
        """
        ...

    async def delete_workspace(self, workspace_id: UUID) -> int:
        """Delete all vectors of a workspace, as `delete_document` does."""
        ...


@runtime_checkable
class VectorLedger(Protocol):
    """What a vector index says of all that it holds: the reconciler compares that with the rows."""

    def chunks(self, workspace_id: UUID) -> AsyncGenerator[UUID, None]:
        """Yield the ids of all chunks whose vectors are stored for a workspace, in no order.

        Raises:
            ProviderUnavailable: it could not be read to its end.
        """
        ...

    async def delete_chunks(self, workspace_id: UUID, chunk_ids: Sequence[UUID]) -> None:
        """Delete vectors by their chunks' ids.

        Raises:
            ProviderUnavailable: not all deletions were accepted.
        """
        ...
