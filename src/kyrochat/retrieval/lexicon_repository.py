"""Queries on the words of bots: their lexicons, and samples to make them from."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import BotLexicon, Chunk, Document


async def lexicon_version(session: AsyncSession, bot_id: UUID) -> int | None:
    """Return the version of the bot's stored lexicon, or None when it has none."""
    query = select(BotLexicon.version).where(BotLexicon.bot_id == bot_id)
    return (await session.exec(query)).one_or_none()


async def lexicon(session: AsyncSession, bot_id: UUID) -> BotLexicon | None:
    """Return the bot's stored lexicon."""
    return (await session.exec(select(BotLexicon).where(BotLexicon.bot_id == bot_id))).one_or_none()


async def store_lexicon(
    session: AsyncSession, bot_id: UUID, workspace_id: UUID, *, chunk_count: int, frequencies: bytes
) -> None:
    """Store the bot's lexicon under the next version; nothing happens when the bot was purged meanwhile."""
    await (await session.connection()).execute(
        _STORE_LEXICON,
        {"bot_id": bot_id, "workspace_id": workspace_id, "chunk_count": chunk_count, "frequencies": frequencies},
    )


_STORE_LEXICON = text("""
    INSERT INTO bot_lexicons AS old (bot_id, workspace_id, version, chunk_count, frequencies)
    SELECT id, workspace_id, 1, CAST(:chunk_count AS integer), CAST(:frequencies AS bytea)
    FROM bots WHERE id = :bot_id AND workspace_id = :workspace_id FOR KEY SHARE
    ON CONFLICT (bot_id) DO UPDATE
    SET version = old.version + 1, chunk_count = excluded.chunk_count, frequencies = excluded.frequencies
""")


async def lexicon_chunk_count(session: AsyncSession, bot_id: UUID) -> int | None:
    """Return how many chunks the bot had when its lexicon was stored, or None when it has none."""
    query = select(BotLexicon.chunk_count).where(BotLexicon.bot_id == bot_id)
    return (await session.exec(query)).one_or_none()


async def sample_chunks(session: AsyncSession, bot_id: UUID, limit: int) -> Sequence[tuple[str, str, str | None]]:
    """Return (document title, text, heading) of up to `limit` random chunks of the bot."""
    query = (
        select(Document.title, Chunk.text, Chunk.heading)
        .join(Document, col(Document.id) == Chunk.document_id)
        .where(Chunk.bot_id == bot_id)
        .order_by(func.random())
        .limit(limit)
    )
    return list(await session.exec(query))
