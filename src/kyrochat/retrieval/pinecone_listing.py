"""Reads what a namespace holds, and deletes by id: for the reconciler, which compares it with the database."""

from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.pinecone_connection import PineconeConnection
from kyrochat.retrieval.pinecone_errors import answer_within

PAGE = 1_000
# The SDK refuses more in one request.
IDS_AT_ONCE = 1_000


async def stored_chunks(connection: PineconeConnection, namespace: str) -> AsyncGenerator[UUID, None]:
    """Yield the chunks' ids that are stored in the namespace, in no order; what others have put there is skipped.

    Fetches see writes as soon as they are accepted: a vector may be in here and not be found yet.

    Raises:
        ProviderUnavailable: it could not be read to its end.
    """
    token: str | None = None
    while True:
        names, token = await _page(connection, namespace, token)
        for name in names:
            try:
                yield UUID(name)
            except ValueError:
                continue
        if token is None:
            return


async def delete_chunks(connection: PineconeConnection, namespace: str, chunk_ids: Sequence[UUID]) -> None:
    """Delete vectors by their chunks' ids.

    Raises:
        ProviderUnavailable: not all deletions were accepted.
    """
    for start in range(0, len(chunk_ids), IDS_AT_ONCE):
        await _delete(connection, namespace, [str(each) for each in chunk_ids[start : start + IDS_AT_ONCE]])


async def _page(connection: PineconeConnection, namespace: str, token: str | None) -> tuple[list[str], str | None]:
    async def ask() -> tuple[list[str], str | None]:
        index = await connection.find()
        if index is None:
            return [], None
        found = await connection.ask(
            index,
            lambda: index.documents.fetch(
                namespace=namespace,
                filter={"document": {"$exists": True}},
                include_fields=["document"],
                pagination_token=token,
                limit=PAGE,
            ),
        )
        if found is None:
            return [], None
        return list(found.documents), found.pagination.next if found.pagination else None

    return await answer_within(connection.timeouts.write_s, ask)


async def _delete(connection: PineconeConnection, namespace: str, ids: list[str]) -> None:
    async def ask() -> None:
        index = await connection.find()
        if index is None:
            raise ProviderUnavailable("The Pinecone index has gone. Try again.")
        await connection.ask(index, lambda: index.documents.delete(namespace=namespace, ids=ids))

    await answer_within(connection.timeouts.write_s, ask)
