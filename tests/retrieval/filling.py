"""Bots of a size that matters to the planner, made fast."""

import random
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Chunk, Document
from kyrochat.db.states import DocumentStage, DocumentStatus
from kyrochat.retrieval.encoding_repository import add_vectors
from kyrochat.retrieval.encodings import Encoding
from kyrochat.retrieval.types import SparseVector

VOCABULARY = [f"word{number}" for number in range(5_000)]


def tokens_of(random_words: random.Random) -> list[str]:
    """About as many terms as a chunk has, some common, most rare."""
    return [VOCABULARY[int(len(VOCABULARY) * random_words.random() ** 3)] for _ in range(110)]


async def fill(
    database: Database, bot: Bot, vectors: Iterable[SparseVector], chunks: int, *, documents: int = 50
) -> None:
    """Give the bot that many chunks, fast: with term weights, and a text only to point at."""
    document_rows = [
        {
            "id": new_id(),
            "workspace_id": bot.workspace_id,
            "bot_id": bot.id,
            "content_hash": number.to_bytes(4, "big"),
            "live_version": 1,
            "status": DocumentStatus.READY,
            "stage": DocumentStage.DONE,
        }
        for number in range(documents)
    ]
    defaults = {"title": "T", "source": "TEXT", "media_type": "", "byte_size": 0, "storage_key": "", "progress": 1.0}
    ids: list[UUID] = [new_id() for _ in range(chunks)]
    async with database.begin([bot.workspace_id]) as session:
        connection = await session.connection()
        await connection.execute(
            insert(Document), [{**defaults, "version": 1, "chunk_count": 0, **row} for row in document_rows]
        )
        common = {"workspace_id": bot.workspace_id, "bot_id": bot.id, "version": 1}
        places: list[Any] = [document_rows[number * documents // chunks]["id"] for number in range(chunks)]
        await connection.execute(
            insert(Chunk),
            [
                {**common, "id": chunk_id, "document_id": place, "ordinal": n, "start": 0, "end": 1, "text": "x"}
                for n, (chunk_id, place) in enumerate(zip(ids, places, strict=True))
            ],
        )
        of_chunks = dict(zip(ids, vectors, strict=False))
        versions = {chunk_id: (place, 1) for chunk_id, place in zip(ids, places, strict=True)}
        encoding = Encoding.from_number(bot.encoding)
        await add_vectors(session, bot.workspace_id, bot.id, encoding, of_chunks, versions)
