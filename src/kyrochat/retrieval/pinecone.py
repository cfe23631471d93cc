"""Chunk vectors in Pinecone, and the way in: `open_pinecone`."""

import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kyrochat.db.models import VectorSet
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone_connection import (
    CLOUD,
    EMBEDDING_FIELD,
    REGION,
    IndexPlan,
    PineconeConnection,
    Timeouts,
)
from kyrochat.retrieval.pinecone_deletion import delete_until_gone, look
from kyrochat.retrieval.pinecone_errors import answer_within
from kyrochat.retrieval.pinecone_listing import delete_stored, stored_vectors
from kyrochat.retrieval.pinecone_names import chunk_of, namespace_of, vector_id
from kyrochat.retrieval.ports import StoredVector, Vector

if TYPE_CHECKING:
    from pinecone import AsyncIndex, Document

MAX_BATCH_DOCUMENTS = 100
MAX_TOP_K = 10_000
# A condition names no more documents; where more match, so many hits of all of them are returned instead.
MAX_FILTERED_DOCUMENTS = 1_000
OVERFETCHED = 1_000
# Pinecone takes 2 MB a request; a number between -1 and 1 has up to 24 characters with its comma.
MAX_BATCH_BYTES = 1_900_000
_NUMBER_BYTES = 24


def open_pinecone(
    api_key: str,
    host: str | None,
    index_name: str,
    *,
    dimensions: int,
    cloud: str = CLOUD,
    region: str = REGION,
    timeouts: Timeouts | None = None,
) -> "PineconeIndex":
    """Return the adapter; nothing is imported or connected before the first request.

    `host` is the control plane, None means Pinecone's. `cloud` and `region` matter only where the index is missing.
    """
    plan = IndexPlan(index_name, dimensions, cloud, region)
    return PineconeIndex(PineconeConnection(api_key, host, plan, timeouts or Timeouts()))


@dataclass(frozen=True, slots=True)
class PineconeIndex:
    """A VectorIndex for vectors of one length.

    `_id` is the chunk's id and the scheme's key; bot, scheme, document and version stand beside it for filters.
    """

    connection: PineconeConnection

    async def warm_up(self) -> None:
        """Connect now, and create the index if it is missing, not with the first vectors.

        Raises:
            ProviderUnavailable: the key, the index or the plan does not allow it, or Pinecone cannot be reached.
        """
        await self.connection.find_or_create()

    async def close(self) -> None:
        """Close all connections."""
        await self.connection.close()

    async def upsert(
        self, target: VectorSet, document_id: UUID, version: int, vectors: Sequence[tuple[UUID, Vector]]
    ) -> None:
        """Store the vectors under their chunk ids; repeating it does no harm. Searches find them a little later.

        Raises:
            ProviderUnavailable: not all of them are stored.
        """
        if not vectors:
            return
        index = await self.connection.find_or_create()
        metadata = {
            "bot": str(target.bot_id),
            "scheme": target.scheme,
            "document": str(document_id),
            "version": version,
        }
        batch_size = _batch_size(self.connection.plan.dimensions)
        # One batch after the other rather than the SDK's `batch_upsert`, which counts what it sent, not what
        # Pinecone says that it stored, and shares a process-wide gate with every other caller.
        for first in range(0, len(vectors), batch_size):
            batch = [
                {"_id": vector_id(chunk_id, target.scheme), EMBEDDING_FIELD: [*vector], **metadata}
                for chunk_id, vector in vectors[first : first + batch_size]
            ]
            stored = await self._store(index, namespace_of(target.workspace_id), batch)
            if stored != len(batch):
                raise ProviderUnavailable(f"Pinecone stored {first + stored} of {len(vectors)} vectors. Try again.")

    async def search(
        self, target: VectorSet, query: Vector, limit: int, documents: Sequence[UUID] | None = None
    ) -> list[tuple[UUID, float]]:
        """Return up to `limit` (chunk id, dot product) of the set's vectors, best first, whatever their version.

        Of `documents` only, up to `MAX_FILTERED_DOCUMENTS`; where there are more, as many of all as Pinecone returns.

        Raises:
            ProviderUnavailable: the index did not answer in time.
        """
        if limit < 1:
            return []
        condition, top_k = _of_set(target), min(limit, MAX_TOP_K)
        if documents is not None and len(documents) <= MAX_FILTERED_DOCUMENTS:
            condition["$and"].append({"document": {"$in": [str(each) for each in documents]}})
        elif documents is not None:
            top_k = OVERFETCHED

        async def ask() -> list[tuple[UUID, float]]:
            index = await self.connection.find()
            if index is None:
                return []
            found = await self.connection.ask(
                index,
                lambda: index.documents.search(
                    namespace=namespace_of(target.workspace_id),
                    score_by=[{"type": "dense_vector", "field": EMBEDDING_FIELD, "values": [*query]}],
                    filter=condition,
                    top_k=top_k,
                ),
            )
            return [] if found is None else _hits(found.matches, target.scheme)

        return await answer_within(self.connection.timeouts.search_s, ask)

    async def settle(self, target: VectorSet) -> bool:
        """Wait until searches see what this process has stored in the set's namespace; False if that takes too long.

        Raises:
            ProviderUnavailable: the index did not answer.
        """
        namespace = namespace_of(target.workspace_id)
        write = self.connection.writes.get(namespace)
        timeouts = self.connection.timeouts

        async def wait() -> bool:
            index = await self.connection.find()
            waited = 0.0
            while index is not None:
                if (await look(self.connection, index, namespace, _of_set(target), 1)).is_after(write):
                    return True
                if waited >= timeouts.visible_s:
                    return False
                await timeouts.sleep(timeouts.poll_s)
                waited += timeouts.poll_s
            return True

        return write is None or await answer_within(timeouts.verify_s, wait)

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        """Delete a document's vectors, and return how many once a search that has seen the deletion finds none.

        With `keep_version`, only those of its other versions.

        Raises:
            ProviderUnavailable: it could not be deleted, or could not be verified in time.
        """
        condition: dict[str, Any] = {"document": {"$eq": str(document_id)}}
        if keep_version is not None:
            condition = {"$and": [condition, {"version": {"$ne": keep_version}}]}
        return await answer_within(
            self.connection.timeouts.verify_s,
            lambda: delete_until_gone(self.connection, namespace_of(workspace_id), condition),
        )

    async def delete_set(self, target: VectorSet) -> int:
        """Delete all vectors of a set, and return how many, as `delete_document` does.

        Raises:
            ProviderUnavailable: they could not be deleted, or that could not be verified in time.
        """
        return await answer_within(
            self.connection.timeouts.verify_s,
            lambda: delete_until_gone(self.connection, namespace_of(target.workspace_id), _of_set(target)),
        )

    async def delete_workspace(self, workspace_id: UUID) -> int:
        """Delete all vectors of a workspace, and return how many, as `delete_document` does.

        Raises:
            ProviderUnavailable: they could not be deleted, or that could not be verified in time.
        """
        # Of all that is in its namespace: every vector of ours has a bot.
        condition = {"bot": {"$exists": True}}
        return await answer_within(
            self.connection.timeouts.verify_s,
            lambda: delete_until_gone(self.connection, namespace_of(workspace_id), condition),
        )

    def stored(self, workspace_id: UUID) -> AsyncGenerator[StoredVector, None]:
        """Yield all vectors that are stored for a workspace, in no order.

        Raises:
            ProviderUnavailable: it could not be read to its end.
        """
        return stored_vectors(self.connection, namespace_of(workspace_id))

    async def delete_stored(self, workspace_id: UUID, vectors: Sequence[StoredVector]) -> None:
        """Delete these vectors; searches may find them for a while.

        Raises:
            ProviderUnavailable: not all deletions were accepted.
        """
        await delete_stored(self.connection, namespace_of(workspace_id), vectors)

    async def _store(self, index: "AsyncIndex", namespace: str, batch: Sequence[dict[str, Any]]) -> int:
        """Return how many of the batch Pinecone says that it stored."""
        timeouts = self.connection.timeouts

        async def ask() -> int:
            answer = await self.connection.ask(
                index,
                lambda: index.documents.upsert(namespace=namespace, documents=batch, timeout=timeouts.write_attempt_s),
            )
            if answer is None:
                return 0
            if answer.response_info is not None and (write := answer.response_info.lsn_committed) is not None:
                self.connection.writes[namespace] = max(write, self.connection.writes.get(namespace, 0))
            return answer.upserted_count

        return await answer_within(timeouts.write_s, ask)


def _batch_size(dimensions: int) -> int:
    return max(1, min(MAX_BATCH_DOCUMENTS, MAX_BATCH_BYTES // (dimensions * _NUMBER_BYTES)))


def _of_set(target: VectorSet) -> dict[str, Any]:
    return {"$and": [{"bot": {"$eq": str(target.bot_id)}}, {"scheme": {"$eq": target.scheme}}]}


def _hits(matches: "Sequence[Document]", scheme: str) -> list[tuple[UUID, float]]:
    """Return the chunks among the matches; what others have put into the index is none of ours."""
    hits: list[tuple[UUID, float]] = []
    for match in matches:
        chunk_id = chunk_of(match.id)
        if chunk_id is None or vector_id(chunk_id, scheme) != match.id:
            continue
        if match.score is not None and math.isfinite(match.score):
            hits.append((chunk_id, match.score))
    return hits
