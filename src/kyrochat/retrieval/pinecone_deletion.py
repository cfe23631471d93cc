"""Deletes vectors until they are verifiably gone: Pinecone applies every write some time after it has accepted it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kyrochat.retrieval.pinecone_connection import EMBEDDING_FIELD, PineconeConnection

if TYPE_CHECKING:
    from pinecone import AsyncIndex

MAX_TOP_K = 10_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a search finds, and the number of the last write that it has seen, if Pinecone says so."""

    ids: frozenset[str]
    seen_write: int | None

    def is_after(self, write: int | None) -> bool:
        """Say whether the search has seen the write; where Pinecone does not say, it is taken to have."""
        return write is None or self.seen_write is None or self.seen_write >= write


async def delete_until_gone(connection: PineconeConnection, namespace: str, condition: Mapping[str, Any]) -> int:
    """Delete what meets the condition, and return how many once a search that has seen the deletion finds none.

    The caller sets the deadline. Statistics and fetches are no witnesses: they see writes at other times than
    searches do. Nor is an empty search alone: vectors stored a moment ago may come to light after it.

    Raises:
        ProviderUnavailable: the index has gone or is not ready.
        PineconeError: Pinecone failed.
    """
    index = await connection.find()
    if index is None:
        return 0
    sighting = await look(connection, index, namespace, condition)
    found = set(sighting.ids)
    most_matched = 0
    while True:
        deleted = await connection.ask(
            index,
            lambda: index.documents.delete(
                namespace=namespace, filter=condition, timeout=connection.timeouts.write_attempt_s
            ),
        )
        if deleted is None:
            return 0
        most_matched = max(most_matched, deleted.matched_records or 0)
        write = None if deleted.response_info is None else deleted.response_info.lsn_committed
        sighting = await look(connection, index, namespace, condition)
        found |= sighting.ids
        while not sighting.is_after(write):
            await connection.timeouts.sleep(connection.timeouts.poll_s)
            sighting = await look(connection, index, namespace, condition)
            found |= sighting.ids
        if not sighting.ids:
            # Pinecone's count is of what could be found back then, ours of what could be found at any time.
            return max(most_matched, len(found))
        # Either nobody knows whether the deletion is through, or it is, and missed what was not visible then.
        await connection.timeouts.sleep(connection.timeouts.poll_s)


async def look(
    connection: PineconeConnection,
    index: "AsyncIndex",
    namespace: str,
    condition: Mapping[str, Any],
    limit: int = MAX_TOP_K,
) -> Sighting:
    """Search for up to `limit` of what meets the condition."""
    dimensions = connection.plan.dimensions
    answer = await connection.ask(
        index,
        lambda: index.documents.search(
            namespace=namespace,
            # Which vector does not matter, as all that meet the condition are wanted; zeros are not allowed.
            score_by=[{"type": "dense_vector", "field": EMBEDDING_FIELD, "values": [dimensions**-0.5] * dimensions}],
            filter=condition,
            top_k=limit,
        ),
    )
    if answer is None:
        return Sighting(frozenset(), None)
    info = answer.response_info
    return Sighting(frozenset(match.id for match in answer.matches), None if info is None else info.lsn_reconciled)
