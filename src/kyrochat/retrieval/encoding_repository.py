"""Queries on encodings: which one of a bot is searched, and the vectors of the next one beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Text, Uuid, bindparam, delete, func, text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Bot, Chunk, ChunkLex, Document
from kyrochat.retrieval.encodings import Encoding
from kyrochat.retrieval.lexical import to_sparsevec_text
from kyrochat.retrieval.types import SparseVector


@dataclass(frozen=True, slots=True)
class Unencoded:
    """A chunk to be encoded, with all that its vector depends on."""

    chunk_id: UUID
    document_id: UUID
    version: int
    title: str
    heading: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a bot's term weights stand: of `chunks`, `searched` have one of the encoding that is searched, and
    `others` rows are of another one: the next, being made, or the last, being removed."""

    bot_id: UUID
    language: str
    encoding: Encoding
    chunks: int
    searched: int
    others: int


async def live(session: AsyncSession, bot_id: UUID, *, pinned: bool = False) -> Encoding:
    """Return the encoding that is searched; with `pinned` it stays that one until the transaction ends."""
    query = select(Bot.encoding).where(Bot.id == bot_id)
    if pinned:
        query = query.with_for_update(read=True)
    number = (await session.exec(query)).one_or_none()
    return Encoding() if number is None else Encoding.from_number(number)


async def bot_for_change(session: AsyncSession, bot_id: UUID) -> Bot | None:
    """Lock the bot against others who write vectors or change what they should be; None when it is deleted."""
    query = select(Bot).where(Bot.id == bot_id, col(Bot.deleted_at).is_(None)).with_for_update(key_share=True)
    # Read anew: the session may know the row from before the lock.
    return (await session.exec(query, execution_options={"populate_existing": True})).one_or_none()


async def make_live(session: AsyncSession, bot_id: UUID, encoding: Encoding) -> None:
    """Search by these vectors from the commit on."""
    # Not `updated_at`: nobody has changed the bot.
    await session.exec(
        update(Bot).where(col(Bot.id) == bot_id).values(encoding=encoding.number, updated_at=Bot.updated_at)
    )


async def stale_bots(
    session: AsyncSession, workspace_ids: Sequence[UUID], *, encoder_version: int
) -> Sequence[tuple[UUID, UUID]]:
    """Return (bot, workspace) of bots that are searched by older versions than that, or by another language."""
    query = select(Bot.id, Bot.workspace_id, Bot.encoding, Bot.language).where(
        col(Bot.workspace_id).in_(workspace_ids), col(Bot.deleted_at).is_(None)
    )
    found = []
    for bot_id, workspace_id, number, language in await session.exec(query):
        encoding = Encoding.from_number(number)
        if encoding.encoder_version < encoder_version or encoding.language != language:
            found.append((bot_id, workspace_id))
    return found


async def unencoded(
    session: AsyncSession, bot_id: UUID, encoding: Encoding, document_ids: Sequence[UUID], limit: int
) -> Sequence[Unencoded]:
    """Return up to `limit` chunks of those documents of the bot that have no vector of the encoding."""
    values = {"bot_id": bot_id, "encoding": encoding.number, "documents": list(document_ids), "limit": limit}
    rows = await (await session.connection()).execute(_UNENCODED, values)
    return [Unencoded(*row) for row in rows]


_MISSING = """
    FROM chunks JOIN documents ON documents.id = chunks.document_id
    WHERE chunks.bot_id = :bot_id AND NOT EXISTS (
        SELECT FROM chunk_lex WHERE chunk_lex.chunk_id = chunks.id AND chunk_lex.encoding = :encoding
    )
"""
_COLUMNS = "chunks.id, chunks.document_id, chunks.version, documents.title, chunks.heading, chunks.text"
_UNENCODED = text(f"SELECT {_COLUMNS} {_MISSING} AND chunks.document_id = ANY(:documents) LIMIT :limit").bindparams(
    bindparam("documents", type_=ARRAY(Uuid))
)


async def still_unencoded(session: AsyncSession, bot_id: UUID, encoding: Encoding, limit: int) -> Sequence[Unencoded]:
    """Return up to `limit` chunks of the bot that have no vector of the encoding."""
    values = {"bot_id": bot_id, "encoding": encoding.number, "limit": limit}
    rows = await (await session.connection()).execute(_STILL_UNENCODED, values)
    return [Unencoded(*row) for row in rows]


_STILL_UNENCODED = text(f"SELECT {_COLUMNS} {_MISSING} LIMIT :limit")


async def documents_after(session: AsyncSession, bot_id: UUID, after: UUID, limit: int) -> Sequence[UUID]:
    """Return the bot's next documents that have chunks, in the order of their ids."""
    query = text("""
        SELECT id FROM documents WHERE bot_id = :bot_id AND id > :after AND EXISTS (
            SELECT FROM chunks WHERE chunks.document_id = documents.id
        ) ORDER BY id LIMIT :limit
    """)
    rows = await (await session.connection()).execute(query, {"bot_id": bot_id, "after": after, "limit": limit})
    return list(rows.scalars())


async def document_chunks(session: AsyncSession, document_id: UUID) -> Sequence[Unencoded]:
    """Return all chunks of a document, with its title as it is now."""
    rows = await (await session.connection()).execute(_OF_DOCUMENT, {"document_id": document_id})
    return [Unencoded(*row) for row in rows]


_OF_DOCUMENT = text(
    f"SELECT {_COLUMNS} FROM chunks JOIN documents ON documents.id = chunks.document_id"  # noqa: S608 (its own text)
    " WHERE documents.id = :document_id"
)


async def keep_current(session: AsyncSession, chunks: Sequence[Unencoded]) -> list[Unencoded]:
    """Return those of the chunks that are still there, under the same title, and keep them from being deleted.

    Their vectors may be added in this transaction. The caller has pinned the bot.
    """
    there = select(Chunk.id).where(col(Chunk.id).in_([chunk.chunk_id for chunk in chunks]))
    ids = set((await session.exec(there.with_for_update(read=True, key_share=True))).all())
    documents = {chunk.document_id for chunk in chunks}
    titles = dict(
        (await session.exec(select(Document.id, Document.title).where(col(Document.id).in_(documents)))).all()
    )
    return [chunk for chunk in chunks if chunk.chunk_id in ids and titles.get(chunk.document_id) == chunk.title]


async def add_vectors(
    session: AsyncSession,
    workspace_id: UUID,
    bot_id: UUID,
    encoding: Encoding,
    vectors: Mapping[UUID, SparseVector],
    places: Mapping[UUID, tuple[UUID, int]],
) -> None:
    """Store vectors of chunks of one bot, by chunk id, except where a chunk has one of this encoding already.

    `places` says of which document and version each chunk is. The caller has pinned the bot.
    """
    ids = list(vectors)
    values: dict[str, Any] = {"workspace_id": workspace_id, "bot_id": bot_id, "encoding": encoding.number, "ids": ids}
    connection = await session.connection()
    of_vectors = {
        "documents": [places[chunk_id][0] for chunk_id in ids],
        "versions": [places[chunk_id][1] for chunk_id in ids],
        "terms": [to_sparsevec_text(vectors[chunk_id]) for chunk_id in ids],
    }
    await connection.execute(_ADD_VECTORS, values | of_vectors)
    if encoding.salted:
        del values["bot_id"]
        # PostgreSQL has no arrays of arrays of different lengths; as texts they are.
        salts = ["{" + ",".join(map(str, encoding.salt(bot_id, vectors[chunk_id]))) + "}" for chunk_id in ids]
        await connection.execute(_ADD_SALTS, values | {"salts": salts})


# No join: before anybody has analyzed the tables, the planner takes one for a nested loop over all the rows.
_ADD_VECTORS = text("""
    INSERT INTO chunk_lex (chunk_id, encoding, workspace_id, bot_id, document_id, version, terms)
    SELECT new.id, :encoding, :workspace_id, :bot_id, new.document_id, new.version, CAST(new.terms AS sparsevec)
    FROM unnest(:ids, :documents, :versions, :terms) AS new (id, document_id, version, terms)
    ON CONFLICT DO NOTHING
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("documents", type_=ARRAY(Uuid)),
    bindparam("versions", type_=ARRAY(Integer)),
    bindparam("terms", type_=ARRAY(Text)),
)
_ADD_SALTS = text("""
    INSERT INTO chunk_salts (chunk_id, encoding, workspace_id, salts)
    SELECT new.id, :encoding, :workspace_id, CAST(new.salts AS integer[])
    FROM unnest(:ids, :salts) AS new (id, salts)
    ON CONFLICT DO NOTHING
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("salts", type_=ARRAY(Text)))


async def drop_vectors(session: AsyncSession, chunk_ids: Sequence[UUID]) -> None:
    """Delete vectors of chunks, of all encodings."""
    await session.exec(delete(ChunkLex).where(col(ChunkLex.chunk_id).in_(chunk_ids)))


async def drop_other_vectors(session: AsyncSession, bot_id: UUID, encoding: Encoding, limit: int) -> int:
    """Delete up to `limit` of the bot's vectors of all encodings but this one, and return how many."""
    values = {"bot_id": bot_id, "encoding": encoding.number, "limit": limit}
    return (await (await session.connection()).execute(_DROP_OTHERS, values)).rowcount


_DROP_OTHERS = text("""
    DELETE FROM chunk_lex WHERE (chunk_id, encoding) IN (
        SELECT chunk_id, encoding FROM chunk_lex WHERE bot_id = :bot_id AND encoding < :encoding
        UNION ALL
        SELECT chunk_id, encoding FROM chunk_lex WHERE bot_id = :bot_id AND encoding > :encoding
        LIMIT :limit
    )
""")


async def standings(session: AsyncSession, workspace_id: UUID) -> Sequence[Standing]:
    """Return where each bot of a workspace stands, for an operator to see: it counts rows, so it takes its time."""
    chunks = dict(
        (
            await session.exec(
                select(Chunk.bot_id, func.count()).where(Chunk.workspace_id == workspace_id).group_by(col(Chunk.bot_id))
            )
        ).all()
    )
    rows = await (await session.connection()).execute(_STANDINGS, {"workspace_id": workspace_id})
    return [
        Standing(
            row.id, row.language, Encoding.from_number(row.encoding), chunks.get(row.id, 0), row.searched, row.others
        )
        for row in rows
    ]


_STANDINGS = text("""
    SELECT bots.id, bots.language, bots.encoding,
        count(*) FILTER (WHERE lex.encoding = bots.encoding) AS searched,
        count(*) FILTER (WHERE lex.encoding <> bots.encoding) AS others
    FROM bots LEFT JOIN chunk_lex AS lex ON lex.bot_id = bots.id
    WHERE bots.workspace_id = :workspace_id AND bots.deleted_at IS NULL
    GROUP BY bots.id ORDER BY bots.id
""")
