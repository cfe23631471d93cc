"""Queries on chunks and their term weights. Only the live version of documents that are not deleted is found."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Float, Integer, Text, Uuid, bindparam, func, text
from sqlalchemy.types import TypeEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import Bot, Chunk, Document
from kyrochat.retrieval.encoding_repository import add_vectors
from kyrochat.retrieval.encodings import Encoding
from kyrochat.retrieval.search import IndexState
from kyrochat.retrieval.types import Passage, SparseVector


async def lexical_hits(
    session: AsyncSession,
    bot_id: UUID,
    query: str,
    *,
    encoding: Encoding,
    limit: int,
    documents: Sequence[UUID] | None = None,
) -> list[tuple[UUID, float]]:
    """Return up to `limit` (chunk id, score) of a bot, best first, scored by the sparse vector `query`.

    With `documents` only their chunks are looked at.

    An exact scan of the bot's rows (about 1 us each): as good as BM25, and nothing to keep up to date.
    """
    rows = await (await session.connection()).execute(_LEXICAL_HITS, _values(bot_id, query, encoding, limit, documents))
    return [(row.chunk_id, -row.distance) for row in rows if row.distance < 0]


async def salted_hits(
    session: AsyncSession, bot_id: UUID, query: str, salts: Sequence[int], *, encoding: Encoding, limit: int
) -> list[tuple[UUID, float]]:
    """Return what `lexical_hits` does, of the chunks that hold one of the salted terms: for bots that are large.

    It sets the transaction's planner to use the indexes, and back: by itself it takes the terms of an array for rarer
    or commoner than they are, reads all the bot's rows, and looks for each among the candidates.
    """
    connection = await session.connection()
    await connection.execute(_BY_INDEX, {"salts": f"{{{','.join(map(str, salts))}}}", "scans": "off"})
    rows = await connection.execute(_SALTED_HITS, _values(bot_id, query, encoding, limit, None))
    hits = [(row.chunk_id, -row.distance) for row in rows if row.distance < 0]
    await connection.execute(_BY_INDEX, {"salts": "", "scans": "on"})
    return hits


def _values(
    bot_id: UUID, query: str, encoding: Encoding, limit: int, documents: Sequence[UUID] | None
) -> dict[str, object]:
    return {
        "bot_id": bot_id,
        "query": query,
        "encoding": encoding.number,
        "limit": limit,
        "documents": None if documents is None else list(documents),
    }


_BY_INDEX = text("""
    SELECT set_config('kyrochat.salts', :salts, true), set_config('enable_seqscan', :scans, true),
        set_config('enable_hashjoin', :scans, true), set_config('enable_mergejoin', :scans, true)
""")

# pgvector's <#> is the negative inner product. Rows of versions that are being written, or wait for their sweep, never
# compete for the limit. IS TRUE keeps the sub-select a hash table, built once: as a join it becomes a nested loop as
# long as nobody has analyzed the tables, which took 365 ms instead of 10 for 10,000 chunks just after their upload.
_LIVE = """
    ((hit.document_id, hit.version) IN (
        SELECT live.id, live.live_version FROM documents AS live
        WHERE live.bot_id = :bot_id AND live.deleted_at IS NULL
          AND (CAST(:documents AS uuid[]) IS NULL OR live.id = ANY (CAST(:documents AS uuid[])))
    )) IS TRUE
"""
_BEST = "ORDER BY hit.terms <#> CAST(:query AS sparsevec) LIMIT :limit"
_SCORED = "SELECT hit.chunk_id, hit.terms <#> CAST(:query AS sparsevec) AS distance"
_LEXICAL_HITS = text(
    f"{_SCORED} FROM chunk_lex AS hit WHERE hit.bot_id = :bot_id AND hit.encoding = :encoding AND {_LIVE} {_BEST}"
).columns(distance=Float)

# Which rows of `chunk_salts` there are to be seen is what `kyrochat.salts` says: see the policy in its migration. Each
# of them is then looked up by its key. `+ 0` and IS TRUE keep the planner from reading all that has the encoding, or
# all of the bot, which it takes for less as long as nobody has analyzed the tables.
_RARE = "WITH rare AS MATERIALIZED (SELECT chunk_id, encoding FROM chunk_salts WHERE encoding + 0 = :encoding)"
_OF_RARE = f"{_SCORED} FROM rare JOIN chunk_lex AS hit ON hit.chunk_id = rare.chunk_id AND hit.encoding = rare.encoding"
_SALTED_HITS = text(f"{_RARE} {_OF_RARE} WHERE (hit.bot_id = :bot_id) IS TRUE AND {_LIVE} {_BEST}").columns(
    distance=Float
)


async def lexical_scores(
    session: AsyncSession, bot_id: UUID, query: str, chunk_ids: Sequence[UUID], *, encoding: Encoding
) -> dict[UUID, float]:
    """Return the scores, 0 or more, of those of the chunks that are the bot's, by the sparse vector `query`."""
    rows = await (await session.connection()).execute(
        _LEXICAL_SCORES,
        {"bot_id": bot_id, "query": query, "encoding": encoding.number, "chunk_ids": chunk_ids},
    )
    return {row.chunk_id: max(-row.distance, 0.0) for row in rows}


_LEXICAL_SCORES = (
    text("""
    SELECT hit.chunk_id, hit.terms <#> CAST(:query AS sparsevec) AS distance
    FROM chunk_lex AS hit
    WHERE hit.chunk_id = ANY (:chunk_ids) AND hit.bot_id = :bot_id AND hit.encoding = :encoding
""")
    .bindparams(bindparam("chunk_ids", type_=ARRAY(Uuid)))
    .columns(distance=Float)
)


async def passages(session: AsyncSession, scores: Mapping[UUID, float], *, bot_id: UUID) -> dict[UUID, Passage]:
    """Return the passages of those chunks that are live in the bot, by chunk id."""
    query = (
        select(Chunk, Document.title)
        .join(Document, (col(Document.id) == Chunk.document_id) & (col(Document.live_version) == Chunk.version))
        # The caller read its bot before: it may have been deleted since.
        .join(Bot, col(Bot.id) == Document.bot_id)
        .where(
            col(Chunk.id).in_(list(scores)),
            # IS TRUE: just after an upload the planner would rather read all of the bot's chunks than look up these.
            (col(Chunk.bot_id) == bot_id).is_(True),
            col(Document.deleted_at).is_(None),
            col(Bot.deleted_at).is_(None),
        )
    )
    return {
        chunk.id: Passage(
            chunk_id=chunk.id,
            document_id=chunk.document_id,
            document_title=title,
            document_version=chunk.version,
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            score=scores[chunk.id],
            heading=chunk.heading,
            page=chunk.page,
            ordinal=chunk.ordinal,
        )
        for chunk, title in await session.exec(query)
    }


async def spans(session: AsyncSession, places: Mapping[UUID, tuple[UUID, int, int, int]]) -> dict[UUID, str]:
    """Return characters [start, end) of versions by key, for (document, version, start, end); gone ones are missing."""
    rows = await (await session.connection()).execute(
        _SPANS,
        {
            "keys": list(places),
            "documents": [document_id for document_id, _, _, _ in places.values()],
            "versions": [version for _, version, _, _ in places.values()],
            "starts": [start for _, _, start, _ in places.values()],
            "ends": [end for _, _, _, end in places.values()],
        },
    )
    return {row.key: row.piece for row in rows}


_SPANS = text("""
    SELECT place.key, substr(whole.text, place.start + 1, place.stop - place.start) AS piece
    FROM unnest(:keys, :documents, :versions, :starts, :ends) AS place (key, document_id, version, start, stop)
    JOIN document_versions AS whole
      ON whole.document_id = place.document_id AND whole.version = place.version
""").bindparams(
    bindparam("keys", type_=ARRAY(Uuid)),
    bindparam("documents", type_=ARRAY(Uuid)),
    bindparam("versions", type_=ARRAY(Integer)),
    bindparam("starts", type_=ARRAY(Integer)),
    bindparam("ends", type_=ARRAY(Integer)),
)


async def index_state(session: AsyncSession, bot_id: UUID) -> IndexState | None:
    """Return what the bot's index is like now; None when the bot is gone."""
    row = (await (await session.connection()).execute(_INDEX_STATE, {"bot_id": bot_id})).one_or_none()
    return None if row is None else IndexState(row.version, row.encoding, row.lexicon, row.vectors)


_INDEX_STATE = text("""
    SELECT coalesce(counted.version, 0) AS version, bots.encoding, coalesce(lexicon.version, 0) AS lexicon,
        coalesce((SELECT id FROM vector_sets WHERE bot_id = bots.id AND state = 'SERVING'), 0) AS vectors
    FROM bots
    LEFT JOIN search_versions AS counted ON counted.bot_id = bots.id
    LEFT JOIN bot_lexicons AS lexicon ON lexicon.bot_id = bots.id
    WHERE bots.id = :bot_id AND bots.deleted_at IS NULL
""")


async def count_change(session: AsyncSession, bot_id: UUID) -> None:
    """Let searches of the bot that were kept be out of date from the commit on.

    Changes of documents do so by themselves; this is for changes of nothing but how they are weighed.
    """
    await (await session.connection()).execute(_COUNT_CHANGE, {"bot_id": bot_id})


_COUNT_CHANGE = text("""
    UPDATE search_versions SET version = version + 1, changed_by = txid_current() WHERE bot_id = :bot_id
""")


async def chunk_count(session: AsyncSession, bot_id: UUID) -> int:
    """Return how many chunks the bot has, those of old versions included."""
    return (await session.exec(select(func.count()).where(Chunk.bot_id == bot_id))).one()


async def documents_chunk_count(session: AsyncSession, bot_id: UUID) -> int:
    """Return how many chunks the bot's documents have, as their rows say: without those on their way, and faster."""
    query = select(func.coalesce(func.sum(Document.chunk_count), 0)).where(
        Document.bot_id == bot_id, col(Document.deleted_at).is_(None)
    )
    return int((await session.exec(query)).one())


async def add_chunks(
    session: AsyncSession, chunks: Sequence[Chunk], vectors: Mapping[UUID, SparseVector], encoding: Encoding
) -> None:
    """Store chunks of one version of a document with their vectors, by chunk id. The caller has pinned the bot.

    Two statements whatever their number: row by row it takes four times as long, and COPY is closed to roles that
    row-level security confines.
    """
    if not chunks:
        return
    first = chunks[0]
    columns = {name: [getattr(chunk, name) for chunk in chunks] for name in _CHUNK_COLUMNS}
    values = {
        "workspace_id": first.workspace_id,
        "bot_id": first.bot_id,
        "document_id": first.document_id,
        "version": first.version,
        **columns,
    }
    await (await session.connection()).execute(_ADD_CHUNKS, values)
    places = {chunk.id: (chunk.document_id, chunk.version) for chunk in chunks}
    await add_vectors(session, first.workspace_id, first.bot_id, encoding, vectors, places)


_CHUNK_COLUMNS: Mapping[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "ordinal": Integer(),
    "start": Integer(),
    "end": Integer(),
    "text": Text(),
    "heading": Text(),
    "page": Integer(),
}
_ADD_CHUNKS = text("""
    INSERT INTO chunks (id, workspace_id, bot_id, document_id, version, ordinal, start, "end", text, heading, page)
    SELECT id, :workspace_id, :bot_id, :document_id, :version, ordinal, start, "end", text, heading, page
    FROM unnest(:id, :ordinal, :start, :end, :text, :heading, :page)
        AS new (id, ordinal, start, "end", text, heading, page)
""").bindparams(*(bindparam(name, type_=ARRAY(kind)) for name, kind in _CHUNK_COLUMNS.items()))
