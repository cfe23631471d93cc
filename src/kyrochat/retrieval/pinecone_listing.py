"""Reads what a namespace holds, and deletes by id: for the reconciler, which compares it with the database."""

from collections.abc import AsyncGenerator, Sequence

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone_connection import PineconeConnection
from kyrochat.retrieval.pinecone_errors import answer_within
from kyrochat.retrieval.pinecone_names import chunk_of, vector_id
from kyrochat.retrieval.ports import StoredVector

PAGE = 1_000
# The SDK refuses more in one request.
IDS_AT_ONCE = 1_000


async def stored_vectors(connection: PineconeConnection, namespace: str) -> AsyncGenerator[StoredVector, None]:
    """Yield what is stored in the namespace, in no order; what others have put there is skipped.

    Fetches see writes as soon as they are accepted: a vector may be in here and not be found yet.

    Raises:
        ProviderUnavailable: it could not be read to its end.
    """
    token: str | None = None
    while True:
        found, token = await _page(connection, namespace, token)
        for name, scheme in found:
            chunk_id = chunk_of(name)
            if chunk_id is not None:
                yield StoredVector(chunk_id, scheme)
        if token is None:
            return


async def delete_stored(connection: PineconeConnection, namespace: str, vectors: Sequence[StoredVector]) -> None:
    """Delete these vectors.

    Raises:
        ProviderUnavailable: not all deletions were accepted.
    """
    # Those from before schemes were stored bear their chunk's bare id.
    names = [vector_id(each.chunk_id, each.scheme) if each.scheme else str(each.chunk_id) for each in vectors]
    for start in range(0, len(names), IDS_AT_ONCE):
        await _delete(connection, namespace, names[start : start + IDS_AT_ONCE])


async def _page(
    connection: PineconeConnection, namespace: str, token: str | None
) -> tuple[list[tuple[str, str]], str | None]:
    async def ask() -> tuple[list[tuple[str, str]], str | None]:
        index = await connection.find()
        if index is None:
            return [], None
        found = await connection.ask(
            index,
            lambda: index.documents.fetch(
                namespace=namespace,
                filter={"document": {"$exists": True}},
                include_fields=["scheme"],
                pagination_token=token,
                limit=PAGE,
            ),
        )
        if found is None:
            return [], None
        listed = [(name, str(document.get("scheme") or "")) for name, document in found.documents.items()]
        return listed, found.pagination.next if found.pagination else None

    return await answer_within(connection.timeouts.write_s, ask)


async def _delete(connection: PineconeConnection, namespace: str, ids: list[str]) -> None:
    async def ask() -> None:
        index = await connection.find()
        if index is None:
            raise ProviderUnavailable("The Pinecone index has gone. Try again.")
        await connection.ask(index, lambda: index.documents.delete(namespace=namespace, ids=ids))

    await answer_within(connection.timeouts.write_s, ask)
