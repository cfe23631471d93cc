"""Many documents at once, for figures in a hurry: `--bulk`.

What is stored is what the ingestion would have stored: texts cut by the same rules, vectors of the same encoder, one
live version each. It leaves out what has no say in what is found: files, jobs, leases and progress, which are most of
the work that short documents make. `tests/evaluation/test_collections.py` holds it against the ingestion.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.models import Bot, Chunk, Document, DocumentVersion
from kyrochat.db.states import DocumentStage, DocumentStatus
from kyrochat.retrieval import lexicon_repository as words
from kyrochat.retrieval import repository as index
from kyrochat.retrieval.chunking import split
from kyrochat.retrieval.encodings import Encoders, Encoding
from kyrochat.retrieval.lexical import encode_chunk
from kyrochat.retrieval.lexicons import sample_lexicon
from kyrochat.runtime import Runtime

BATCH_DOCUMENTS = 100


async def load_bulk(
    runtime: Runtime, viewer: Viewer, bot: Bot, documents: Sequence[tuple[str, str]]
) -> dict[bytes, UUID]:
    """Store documents, given as (title, text), and return their ids by the hash of their content."""
    ids: dict[bytes, UUID] = {}
    for start in range(0, len(documents), BATCH_DOCUMENTS):
        batch = documents[start : start + BATCH_DOCUMENTS]
        made = await asyncio.to_thread(_cut_all, bot, batch)
        async with runtime.database.begin(viewer.workspaces) as session:
            for document, version, chunks in made:
                if document.content_hash not in ids:
                    ids[document.content_hash] = document.id
                    await _store(session, bot, document, version, chunks)
    encoding = Encoding.from_number(bot.encoding)
    async with runtime.database.begin(viewer.workspaces) as session:
        lexicon = await sample_lexicon(session, bot.id, Encoders().of(encoding), encoding.language)
        await words.store_lexicon(
            session,
            bot.id,
            bot.workspace_id,
            chunk_count=lexicon.chunk_count,
            frequencies=lexicon.to_bytes(),
        )
    return ids


def _cut_all(bot: Bot, documents: Sequence[tuple[str, str]]) -> list[tuple[Document, DocumentVersion, list[Chunk]]]:
    return [_cut(bot, *each) for each in documents]


def _cut(bot: Bot, title: str, body: str) -> tuple[Document, DocumentVersion, list[Chunk]]:
    of_bot: dict[str, Any] = {"workspace_id": bot.workspace_id, "bot_id": bot.id}
    document = Document(
        **of_bot,
        id=new_id(),
        title=title,
        media_type="text/plain",
        byte_size=len(body.encode()),
        content_hash=sha256(body.encode()).digest(),
        status=DocumentStatus.READY,
        stage=DocumentStage.DONE,
        progress=1.0,
        live_version=1,
    )
    chunks = [
        Chunk(
            **of_bot,
            id=new_id(),
            document_id=document.id,
            version=1,
            ordinal=ordinal,
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            heading=chunk.heading,
            page=chunk.page,
        )
        for ordinal, chunk in enumerate(split(body, markdown=False))
    ]
    document.chunk_count = len(chunks)
    version = DocumentVersion(document_id=document.id, version=1, workspace_id=bot.workspace_id, text=body)
    return document, version, chunks


async def _store(
    session: AsyncSession, bot: Bot, document: Document, version: DocumentVersion, chunks: Sequence[Chunk]
) -> None:
    session.add(document)
    await session.flush()
    session.add(version)
    encoding = Encoding.from_number(bot.encoding)
    vectors = {chunk.id: encode_chunk(document.title, chunk.text, encoding.language, chunk.heading) for chunk in chunks}
    await index.add_chunks(session, chunks, vectors, encoding)
