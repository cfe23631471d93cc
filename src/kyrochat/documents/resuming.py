"""What an earlier attempt at the same version has stored, and whether it is what this one would store.

Passages that are the same keep their rows, and with them their vectors, which may have been paid for.
"""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Chunk, ChunkLex, Document, DocumentVersion
from kyrochat.documents import repository
from kyrochat.retrieval.encodings import Encoding


async def keep_what_fits(
    session: AsyncSession, document: Document, text: str, chunks: Sequence[Chunk], encoding: Encoding
) -> int:
    """Return how many of the first chunks are stored already; if that is not all that is stored, delete it all.

    The version's text is there afterwards.
    """
    count = await _stored(session, document, text, chunks, encoding.number)
    if count:
        return count
    await repository.delete_chunks(session, document.id, only=document.version)
    await repository.delete_versions(session, document.id, only=document.version)
    session.add(
        DocumentVersion(
            document_id=document.id, version=document.version, workspace_id=document.workspace_id, text=text
        )
    )
    return 0


async def _stored(session: AsyncSession, document: Document, text: str, chunks: Sequence[Chunk], encoding: int) -> int:
    same_text = select(DocumentVersion.version).where(
        DocumentVersion.document_id == document.id,
        DocumentVersion.version == document.version,
        DocumentVersion.text == text,
    )
    if (await session.exec(same_text)).first() is None:
        return 0
    query = (
        select(Chunk, ChunkLex.encoding)
        .join(
            ChunkLex,
            (col(ChunkLex.chunk_id) == Chunk.id) & (col(ChunkLex.encoding) == encoding),
            isouter=True,
        )
        .where(Chunk.document_id == document.id, Chunk.version == document.version)
        .order_by(col(Chunk.ordinal))
    )
    stored = [_place(chunk, stored_as) for chunk, stored_as in await session.exec(query)]
    expected = [_place(chunk, encoding) for chunk in chunks[: len(stored)]]
    return len(stored) if stored == expected else 0


def _place(chunk: Chunk, encoding: int | None) -> tuple[object, ...]:
    """Return what tells chunks of the same text apart."""
    return encoding, chunk.id, chunk.ordinal, chunk.start, chunk.end, chunk.heading, chunk.page
