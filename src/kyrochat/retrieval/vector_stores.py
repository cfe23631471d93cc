"""All the places where vectors may be, and their removal from all of them."""

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kyrochat.db.engine import Database
from kyrochat.db.models import VectorSet
from kyrochat.db.states import VectorStore
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.pinecone_names import PLAIN_DIMENSIONS
from kyrochat.retrieval.ports import StoredVector, VectorIndex, VectorLedger
from kyrochat.retrieval.postgres_vectors import PostgresVectors


class Indexes(Protocol):
    """A service that has an index for each length of vectors."""

    def of(self, dimensions: int) -> VectorIndex:
        """Return the index for vectors of that length; it need not exist yet."""
        ...

    def opened(self) -> Collection[int]:
        """Return the lengths that `of` was asked for by this process."""
        ...


@dataclass(frozen=True, slots=True)
class VectorStores:
    """PostgreSQL, and Pinecone where there is a key for it."""

    database: Database
    pinecone: Indexes | None = None

    def of(self, store: VectorStore, dimensions: int) -> VectorIndex | None:
        """Return where such vectors are kept; None when this process has no way in."""
        if store is VectorStore.PGVECTOR:
            return PostgresVectors(self.database)
        return None if self.pinecone is None else self.pinecone.of(dimensions)

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        """Delete a document's vectors everywhere, all or but those of `keep_version`; return how many.

        Raises:
            ProviderUnavailable: they could not be deleted, or that could not be verified.
        """
        elsewhere = await self._elsewhere(workspace_id)
        deleted = await PostgresVectors(self.database).delete_document(
            workspace_id, document_id, keep_version=keep_version
        )
        for index in elsewhere:
            deleted += await index.delete_document(workspace_id, document_id, keep_version=keep_version)
        return deleted

    async def delete_workspace(self, workspace_id: UUID) -> int:
        """Delete all vectors of a workspace that do not go with its rows; return how many.

        Raises:
            ProviderUnavailable: they could not be deleted, or that could not be verified.
        """
        return sum([await index.delete_workspace(workspace_id) for index in await self._elsewhere(workspace_id)])

    async def stored(self, workspace_id: UUID) -> AsyncGenerator[StoredVector, None]:
        """Yield what is stored outside of PostgreSQL for a workspace, also if it is from before there were sets.

        Raises:
            ProviderUnavailable: it could not be read to its end.
        """
        for index in await self._elsewhere(workspace_id, {PLAIN_DIMENSIONS}):
            if isinstance(index, VectorLedger):
                async for vector in index.stored(workspace_id):
                    yield vector

    async def delete_stored(self, workspace_id: UUID, vectors: Sequence[StoredVector]) -> None:
        """Delete these vectors from wherever they are outside of PostgreSQL.

        Raises:
            ProviderUnavailable: not all deletions were accepted.
        """
        for index in await self._elsewhere(workspace_id, {PLAIN_DIMENSIONS}):
            if isinstance(index, VectorLedger):
                await index.delete_stored(workspace_id, vectors)

    async def _elsewhere(self, workspace_id: UUID, besides: Collection[int] = ()) -> list[VectorIndex]:
        """Return the indexes outside of PostgreSQL that may hold something of a workspace, and those of `besides`."""
        async with self.database.begin([workspace_id]) as session:
            sets = await rows.sets_of_workspace(session, workspace_id)
        lengths = {each.dimensions for each in sets if each.store is VectorStore.PINECONE and each.dimensions}
        if self.pinecone is not None:
            # A set goes with its bot, and vectors of a step that was under way come after that.
            lengths |= {*self.pinecone.opened(), *besides}
        if not lengths:
            return []
        if self.pinecone is None:
            raise ProviderUnavailable(
                "Vectors of this workspace are in Pinecone, and KYROCHAT_PINECONE_API_KEY is not set.", retryable=True
            )
        return [self.pinecone.of(dimensions) for dimensions in sorted(lengths)]


async def dimensions_of(database: Database, target: VectorSet, length: int) -> VectorSet:
    """Return the set with the length of its vectors, noted with the first of them.

    Raises:
        ProviderUnavailable: it holds vectors of another length: the model has changed behind its name.
    """
    if target.dimensions is None and target.id is not None:
        async with database.begin([target.workspace_id]) as session:
            noted = await rows.note_dimensions(session, target.id, length)
        target.dimensions = noted if noted is not None else length
    if target.dimensions != length:
        raise ProviderUnavailable(
            f"The embedding model makes vectors of {length} numbers, and those stored have {target.dimensions}. "
            "Give the new model a name of its own, and run: kyrochat index rebuild",
            retryable=False,
        )
    return target
