"""Chunk vectors in PostgreSQL, with pgvector: in the same database as the rows, and gone when they are."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.engine import Database
from kyrochat.db.models import VectorSet
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.ports import Vector
from kyrochat.retrieval.vector_search import is_indexed, nearest, nearly_nearest, scores

# What an HNSW index on half-precision vectors can hold. An embedder can be asked for fewer.
MAX_DIMENSIONS = 4_000


@dataclass(frozen=True, slots=True)
class PostgresVectors:
    """A VectorIndex."""

    database: Database

    async def upsert(
        self, target: VectorSet, document_id: UUID, version: int, vectors: Sequence[tuple[UUID, Vector]]
    ) -> None:
        """Store the vectors under their chunk ids; repeating it does no harm. Those of chunks that are gone are not.

        Raises:
            ProviderUnavailable: they are longer than can be searched.
        """
        del document_id, version  # the chunks' rows know
        if not vectors:
            return
        if len(vectors[0][1]) > MAX_DIMENSIONS:
            raise ProviderUnavailable(
                f"PostgreSQL searches vectors of up to {MAX_DIMENSIONS:,} dimensions. "
                "Set KYROCHAT_EMBEDDING_DIMENSIONS to fewer, or use a smaller model.",
                retryable=False,
            )
        async with self.database.begin([target.workspace_id]) as session:
            await rows.store(
                session, target, [chunk_id for chunk_id, _ in vectors], [in_words(vector) for _, vector in vectors]
            )

    async def search(
        self, target: VectorSet, query: Vector, limit: int, documents: Sequence[UUID] | None = None
    ) -> list[tuple[UUID, float]]:
        """Return up to `limit` (chunk id, dot product) of live chunks of the set, best first, or of `documents`."""
        if limit < 1 or target.id is None or target.dimensions is None:
            return []
        async with self.database.begin([target.workspace_id]) as session:
            # Walking the index, few of many documents' chunks would be met before the walk gives up.
            if documents is None and await is_indexed(session, target.id):
                return await nearly_nearest(session, target, in_words(query), limit)
            return await nearest(session, target, in_words(query), limit, documents)

    async def scores(self, target: VectorSet, query: Vector, chunk_ids: Sequence[UUID]) -> dict[UUID, float]:
        """Return the dot products of those of the chunks that have a vector in the set."""
        if target.id is None:
            return {}
        async with self.database.begin([target.workspace_id]) as session:
            return await scores(session, target, in_words(query), chunk_ids)

    async def settle(self, target: VectorSet) -> bool:
        """Wait for nothing: what is committed is found."""
        del target
        return True

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        """Delete a document's vectors, all or but those of `keep_version`, and return how many."""
        async with self.database.begin([workspace_id]) as session:
            return await rows.forget_document(session, document_id, keep_version)

    async def delete_set(self, target: VectorSet) -> int:
        """Delete nothing: the set's rows are its vectors."""
        del target
        return 0

    async def delete_workspace(self, workspace_id: UUID) -> int:
        """Delete nothing: its vectors go with its documents."""
        del workspace_id
        return 0


async def copied(session: AsyncSession, target: VectorSet, chunk_ids: Sequence[UUID]) -> list[tuple[UUID, Vector]]:
    """Return those of the chunks' vectors that PostgreSQL holds for other sets of the same scheme."""
    if not chunk_ids:
        return []
    return [
        (chunk_id, _unit(json.loads(found))) for chunk_id, found in await rows.held_under(session, target, chunk_ids)
    ]


def _unit(values: Sequence[float]) -> Vector:
    """Return a vector of length one: half precision has rounded it."""
    norm = math.hypot(*values)
    return [value / norm for value in values]


def in_words(vector: Vector) -> str:
    """Return a vector in pgvector's text form. Seven digits are more than half precision keeps."""
    return f"[{','.join(format(value, '.7g') for value in vector)}]"
