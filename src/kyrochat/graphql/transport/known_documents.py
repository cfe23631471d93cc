"""Operations that name their document instead of sending it."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from kyrochat.graphql.transport.operation import Operation
from kyrochat.graphql.transport.refusals import RequestRefused

# From the SHA-256 of a document, as 64 hexadecimal digits, to its text.
FindDocument = Callable[[str], Awaitable[str | None]]


class UnknownDocument(RequestRefused):
    """Nobody has registered a document with that hash.

    Clients that send the hash first and the whole document after a refusal look for this message, word by word.
    """

    def __init__(self, *, is_handshake: bool) -> None:
        super().__init__(
            400,
            "PERSISTED_QUERY_NOT_FOUND",
            "PersistedQueryNotFound"
            if is_handshake
            else "No document with this id is registered. Register it with `kyrochat documents register`.",
        )


class DocumentRequired(RequestRefused):
    """The server runs registered documents only."""

    def __init__(self) -> None:
        super().__init__(
            403,
            "PERSISTED_QUERY_ID_REQUIRED",
            "This server runs registered documents only. Register this one with `kyrochat documents register`, or send "
            "the `documentId` of one that is.",
        )


@dataclass(frozen=True, slots=True)
class KnownDocuments:
    """Finds the documents that operations name. With `is_closed` no others are run."""

    find: FindDocument
    is_closed: bool = False

    async def complete(self, operation: Operation) -> Operation:
        """Return the operation with the text of its document.

        Raises:
            RequestRefused: nobody knows the document, its text has another hash, or it has to be a known one.
        """
        named = operation.document_hash
        if named is None and not self.is_closed:
            return operation
        if operation.query:
            sent = hashlib.sha256(operation.query.encode()).hexdigest()
            if named not in (None, sent):
                raise RequestRefused(400, "BAD_USER_INPUT", "The id is not the SHA-256 of the `query` beside it.")
            if self.is_closed and await self.find(sent) is None:
                raise DocumentRequired
            return operation
        assert named is not None
        text = await self.find(named)
        if text is None:
            raise UnknownDocument(is_handshake=not self.is_closed and operation.is_handshake)
        return replace(operation, query=text)


async def _find_none(_sha256: str) -> None:
    return None


NO_KNOWN_DOCUMENTS = KnownDocuments(_find_none)
