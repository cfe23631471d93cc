"""Vectors as embedding models make them, in number: around some topics, in few of many directions."""

import random
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, text
from sqlmodel import select

from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Chunk, Document, VectorSet
from kyrochat.db.states import DocumentStage, DocumentStatus, VectorSetState, VectorStore
from kyrochat.retrieval.postgres_vectors import in_words

TOPICS = 40


def clustered(count: int, dimensions: int, *, seed: int = 1, near: Sequence[float] | None = None) -> list[list[float]]:
    """Unit vectors: a topic's middle and something of one's own; with `near`, that one is the middle."""
    draw = random.Random(seed)

    def gauss() -> list[float]:
        return [draw.gauss(0, 1) for _ in range(dimensions)]

    middles = [list(near)] if near is not None else [unit(gauss()) for _ in range(TOPICS)]
    return [unit([a + 0.8 * b for a, b in zip(draw.choice(middles), unit(gauss()), strict=True)]) for _ in range(count)]


def unit(vector: Sequence[float]) -> list[float]:
    norm = sum(value * value for value in vector) ** 0.5
    return [value / norm for value in vector]


async def add_set(
    database: Database,
    bot: Bot,
    *,
    dimensions: int,
    scheme: str = "words",
    state: VectorSetState = VectorSetState.SERVING,
    store: VectorStore = VectorStore.PGVECTOR,
) -> VectorSet:
    async with database.begin([bot.workspace_id]) as session:
        target = VectorSet(
            workspace_id=bot.workspace_id, bot_id=bot.id, store=store, scheme=scheme, dimensions=dimensions, state=state
        )
        session.add(target)
        await session.flush()
        await session.refresh(target)
    return target


async def chunks_of(database: Database, bot: Bot, document_id: UUID) -> list[UUID]:
    async with database.begin([bot.workspace_id]) as session:
        query = select(Chunk.id).where(Chunk.document_id == document_id).order_by(text("ordinal"))
        return list((await session.exec(query)).all())


async def add_vectors(
    database: Database, bot: Bot, target: VectorSet, vectors: Sequence[Sequence[float]], *, documents: int = 20
) -> list[UUID]:
    """Give the bot as many chunks, fast, without texts worth reading; return their ids."""
    common = {"workspace_id": bot.workspace_id, "bot_id": bot.id, "version": 1}
    held = [
        {
            **common,
            "id": new_id(),
            "content_hash": new_id().bytes,
            "live_version": 1,
            "status": DocumentStatus.READY,
            "stage": DocumentStage.DONE,
            "title": "T",
            "source": "TEXT",
            "media_type": "",
            "byte_size": 0,
            "storage_key": "",
            "progress": 1.0,
            "chunk_count": 0,
        }
        for _ in range(documents)
    ]
    chunks = [
        {
            **common,
            "id": new_id(),
            "document_id": held[number * documents // len(vectors)]["id"],
            "ordinal": number,
            "start": 0,
            "end": 1,
            "text": "x",
        }
        for number in range(len(vectors))
    ]
    async with database.begin([bot.workspace_id]) as session:
        connection = await session.connection()
        await connection.execute(insert(Document), held)
        await connection.execute(insert(Chunk), chunks)
        statement = text(
            "INSERT INTO chunk_vec (chunk_id, set_id, workspace_id, document_id, version, embedding)"
            " VALUES (:id, :set_id, :workspace_id, :document_id, 1, CAST(:embedding AS halfvec))"
        )
        await connection.execute(
            statement,
            [
                {
                    "id": chunk["id"],
                    "set_id": target.id,
                    "workspace_id": bot.workspace_id,
                    "document_id": chunk["document_id"],
                    "embedding": in_words(vector),
                }
                for chunk, vector in zip(chunks, vectors, strict=True)
            ],
        )
    return [UUID(str(chunk["id"])) for chunk in chunks]
