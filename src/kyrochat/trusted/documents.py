"""GraphQL documents that clients may name instead of sending them, and that a server may confine them to."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cachetools import TTLCache

from kyrochat.db.engine import Database
from kyrochat.db.models import TrustedDocument
from kyrochat.trusted import repository

# As much text as this is kept at hand, and for so long: a document that was removed is unknown after a minute.
CACHED_CHARS = 4 * 1024 * 1024
CACHED_S = 60.0
STORED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Registered:
    """One of the trusted documents: the SHA-256 of its text in hexadecimal digits, and its text."""

    sha256: str
    body: str
    registered_at: datetime


def document_hash(body: str) -> str:
    """Return the SHA-256 of a document's text as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(body.encode()).hexdigest()


def _empty_cache() -> TTLCache[str, str]:
    return TTLCache(CACHED_CHARS, CACHED_S, getsizeof=len)


@dataclass(frozen=True, slots=True)
class TrustedDocuments:
    """The documents of one database."""

    database: Database
    _cached: TTLCache[str, str] = field(default_factory=_empty_cache)

    async def text(self, sha256: str) -> str | None:
        """Return the text of the document with that hash (64 lower-case hexadecimal digits), or None."""
        found: str | None = self._cached.get(sha256)
        if found is None:
            async with self.database.begin() as session:
                found = await repository.body(session, bytes.fromhex(sha256))
            if found is not None and len(found) <= CACHED_CHARS:
                self._cached[sha256] = found
        return found

    async def register(self, bodies: Iterable[str]) -> int:
        """Store documents; return how many of them are new."""
        by_hash = {bytes.fromhex(document_hash(body)): body for body in bodies}
        hashes, new = list(by_hash), 0
        async with self.database.begin() as session:
            for start in range(0, len(hashes), STORED_AT_ONCE):
                batch = hashes[start : start + STORED_AT_ONCE]
                new += await repository.add(session, {sha256: by_hash[sha256] for sha256 in batch})
        return new

    async def remove(self, hashes: Sequence[str]) -> int:
        """Delete documents by their hashes; return how many there were. Servers forget them within a minute."""
        async with self.database.begin() as session:
            return await repository.remove(session, [bytes.fromhex(sha256) for sha256 in hashes])

    async def all(self) -> list[Registered]:
        """Return all documents, those registered last first."""
        async with self.database.begin() as session:
            return [_registered(row) for row in await repository.all_documents(session)]


def _registered(row: TrustedDocument) -> Registered:
    return Registered(row.sha256.hex(), row.body, row.registered_at)
