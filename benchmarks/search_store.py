"""A database filled with synthetic bots for the benchmarks of search: written as ingestion writes, texts included."""

import asyncio
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.search_data import Texts, word
from kyrochat.bots.index_jobs import TEND_INDEX, queue_tending
from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Chunk, Document, Workspace
from kyrochat.db.states import DocumentStage, DocumentStatus
from kyrochat.documents.indexing import IndexTending
from kyrochat.jobs.queue import Queue
from kyrochat.retrieval.encodings import Encoder, Encoding
from kyrochat.retrieval.languages import Language
from kyrochat.retrieval.lexicon_repository import store_lexicon
from kyrochat.retrieval.lexicons import sample_lexicon
from kyrochat.retrieval.repository import add_chunks
from kyrochat.retrieval.types import SparseVector

CHUNKS_OF_A_DOCUMENT = 200


async def make_bot(database: Database, name: str, *, salted: bool = False) -> Bot:
    """Return a new bot in a new workspace."""
    workspace = Workspace(name=name)
    encoding = Encoding(language=Language.ENGLISH, salted=salted)
    bot = Bot(workspace_id=workspace.id, name=name, language=encoding.language, encoding=encoding.number)
    async with database.begin([workspace.id]) as session:
        session.add(workspace)
        await session.flush()
        session.add(bot)
        await session.flush()
        await session.refresh(bot)
    return bot


async def fill(database: Database, bot: Bot, texts: Texts, first: int, count: int) -> list[UUID]:
    """Give the bot `count` chunks from number `first` on, and return their ids in that order."""
    ids: list[UUID] = []
    for start in range(first, first + count, CHUNKS_OF_A_DOCUMENT):
        numbers = range(start, min(start + CHUNKS_OF_A_DOCUMENT, first + count))
        document = Document(
            workspace_id=bot.workspace_id,
            bot_id=bot.id,
            title="",
            content_hash=start.to_bytes(8, "big"),
            status=DocumentStatus.READY,
            stage=DocumentStage.DONE,
            progress=1.0,
            live_version=1,
            chunk_count=len(numbers),
        )
        chunks, vectors = await asyncio.to_thread(_chunks, document, texts, numbers)
        async with database.begin([bot.workspace_id]) as session:
            session.add(document)
            await session.flush()
            await add_chunks(session, chunks, vectors, Encoding.from_number(bot.encoding))
        ids += [chunk.id for chunk in chunks]
    return ids


async def multiply(owner: Database, bot: Bot, times: int) -> None:
    """Add copies of the bot's chunks with their vectors and terms, until it has that many times as many.

    `owner` is the tables' owner, who alone may look at terms without naming them.
    """
    async with owner.begin([bot.workspace_id]) as session:
        documents = (await session.exec(select(Document.id).where(Document.bot_id == bot.id))).all()
        await _show_terms(session, "NO FORCE")
    try:
        for document_id in [each for each in documents for _ in range(times - 1)]:
            async with owner.begin([bot.workspace_id]) as session:
                connection = await session.connection()
                values = {"document_id": document_id, "chunks": CHUNKS_OF_A_DOCUMENT}
                await connection.execute(_PICK, values)
                for statement in _COPIES:
                    await connection.execute(statement)
    finally:
        async with owner.begin() as session:
            await _show_terms(session, "FORCE")


async def _show_terms(session: AsyncSession, how: str) -> None:
    await (await session.connection()).execute(text(f"ALTER TABLE chunk_salts {how} ROW LEVEL SECURITY"))


_PICK = text("""
    CREATE TEMPORARY TABLE picked ON COMMIT DROP AS
    SELECT gen_random_uuid() AS id, chunks.id AS old FROM chunks
    WHERE document_id = :document_id ORDER BY ordinal, chunks.id LIMIT :chunks
""")
_OF_CHUNK = "workspace_id, bot_id, document_id, version"
_COPIES = tuple(
    text(f"INSERT INTO {table} ({key}, {columns}) SELECT picked.id, {columns} FROM picked JOIN {source} = picked.old")
    for table, key, columns, source in (
        ("chunks", "id", f'{_OF_CHUNK}, ordinal, start, "end", text', "chunks AS source ON source.id"),
        ("chunk_lex", "chunk_id", f"{_OF_CHUNK}, encoding, terms", "chunk_lex AS source ON source.chunk_id"),
        ("chunk_salts", "chunk_id", "workspace_id, encoding, salts", "chunk_salts AS source ON source.chunk_id"),
    )
)


async def encode_anew(database: Database, bot: Bot) -> None:
    """Do what the product's job does when the bot has outgrown the limit."""
    changes, queue = Changes(), Queue(database, lease_s=7_200)
    async with database.begin([bot.workspace_id]) as session:
        await queue_tending(session, changes, bot.workspace_id, bot.id)
    [job] = await queue.claim(1, [TEND_INDEX])
    await IndexTending(database, changes)(job)


async def finish(database: Database, bot: Bot) -> None:
    """Store the bot's lexicon."""
    encoding = Encoding.from_number(bot.encoding)
    async with database.begin([bot.workspace_id]) as session:
        lexicon = await sample_lexicon(session, bot.id, Encoder(), encoding.language)
        await store_lexicon(
            session, bot.id, bot.workspace_id, chunk_count=lexicon.chunk_count, frequencies=lexicon.to_bytes()
        )


def _chunks(document: Document, texts: Texts, numbers: range) -> tuple[list[Chunk], dict[UUID, SparseVector]]:
    chunks, vectors, encoder = [], {}, Encoder()
    for ordinal, number in enumerate(numbers):
        words = [word(rank) for rank in texts.chunk(number)]
        chunk = Chunk(
            id=new_id(),
            workspace_id=document.workspace_id,
            bot_id=document.bot_id,
            document_id=document.id,
            version=1,
            ordinal=ordinal,
            start=0,
            end=1,
            text=" ".join(words),
        )
        chunks.append(chunk)
        # The words are their own terms: encoding is measured elsewhere.
        vectors[chunk.id] = encoder.encode_tokens(words)
    return chunks, vectors
