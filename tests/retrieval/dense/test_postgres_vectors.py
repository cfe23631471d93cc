"""Vectors in PostgreSQL: what is found, by which plan, and that they go with their chunks."""

import asyncio
import math
import random
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlmodel import select

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import Bot, Document, VectorSet
from kyrochat.db.states import VectorSetState
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval import vector_search
from kyrochat.retrieval.postgres_vectors import MAX_DIMENSIONS, PostgresVectors, in_words
from kyrochat.retrieval.vector_indexing import VectorIndexing
from tests.factories import make_bot, make_document, make_viewer
from tests.retrieval.dense.vectors import add_set, add_vectors, chunks_of, clustered

EAST, NORTH, NORTH_EAST = [1.0, 0.0], [0.0, 1.0], [math.sqrt(0.5), math.sqrt(0.5)]


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database)


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


async def two_chunks(database: Database, bot: Bot) -> tuple[list[UUID], list[UUID]]:
    """The ids of two documents and of their chunks, one each."""
    documents = [(await make_document(database, bot, body, body)).id for body in ("The Rhine.", "The Elbe.")]
    return documents, [(await chunks_of(database, bot, each))[0] for each in documents]


async def test_the_nearest_live_chunks_come_first_and_storing_again_replaces(database: Database, bot: Bot) -> None:
    index, (documents, chunks) = PostgresVectors(database), await two_chunks(database, bot)
    target = await add_set(database, bot, dimensions=2)
    for document_id, chunk_id, vector in zip(documents, chunks, (NORTH, NORTH), strict=True):
        await index.upsert(target, document_id, 1, [(chunk_id, vector)])
    await index.upsert(target, documents[0], 1, [(chunks[0], NORTH_EAST)])

    found = await index.search(target, EAST, 10)

    assert [chunk_id for chunk_id, _ in found] == chunks
    assert [score for _, score in found] == pytest.approx([math.sqrt(0.5), 0.0], abs=1e-3)
    assert await index.search(target, EAST, 1) == found[:1]
    assert await index.search(target, EAST, 0) == []


async def test_vectors_of_two_sets_and_of_two_tenants_never_meet(database: Database, bot: Bot) -> None:
    index, (documents, chunks) = PostgresVectors(database), await two_chunks(database, bot)
    old = await add_set(database, bot, dimensions=2)
    new = await add_set(database, bot, scheme="newer/3", dimensions=3, state=VectorSetState.BUILDING)
    await index.upsert(old, documents[0], 1, [(chunks[0], EAST)])
    await index.upsert(new, documents[1], 1, [(chunks[1], [0.0, 0.0, 1.0])])

    assert [each for each, _ in await index.search(old, EAST, 10)] == [chunks[0]]
    assert [each for each, _ in await index.search(new, [0.0, 0.0, 1.0], 10)] == [chunks[1]]

    bob = await make_bot(database, await make_viewer(database, "bob@example.com"))
    forged = VectorSet(id=old.id, workspace_id=bob.workspace_id, bot_id=bot.id, scheme=old.scheme, dimensions=2)
    assert await index.search(forged, EAST, 10) == []
    await index.upsert(forged, documents[1], 1, [(chunks[1], EAST)])  # neither chunk nor set are his
    assert [each for each, _ in await index.search(old, EAST, 10)] == [chunks[0]]


async def test_what_is_not_live_takes_no_place_and_what_is_gone_has_no_vector(database: Database, bot: Bot) -> None:
    index, (documents, chunks) = PostgresVectors(database), await two_chunks(database, bot)
    target = await add_set(database, bot, dimensions=2)
    for document_id, chunk_id, vector in zip(documents, chunks, (EAST, NORTH), strict=True):
        await index.upsert(target, document_id, 1, [(chunk_id, vector)])

    async def run(statement: str) -> None:
        async with database.begin([bot.workspace_id]) as session:
            await (await session.connection()).execute(text(statement))

    for undo, do in (("live_version = 1", "live_version = 2"), ("deleted_at = NULL", "deleted_at = now()")):
        await run(f"UPDATE documents SET {do} WHERE id = '{documents[0]}'")
        assert [each for each, _ in await index.search(target, EAST, 1)] == chunks[1:]
        await run(f"UPDATE documents SET {undo} WHERE id = '{documents[0]}'")
    await run(f"DELETE FROM chunks WHERE id = '{chunks[0]}'")
    assert await index.search(target, EAST, 10) == [(chunks[1], 0.0)]
    await index.upsert(target, documents[0], 1, [(chunks[0], EAST)])  # it came too late
    assert await index.search(target, EAST, 10) == [(chunks[1], 0.0)]
    assert await index.delete_document(bot.workspace_id, documents[1], keep_version=1) == 0
    assert await index.delete_document(bot.workspace_id, documents[1]) == 1
    assert await index.search(target, EAST, 10) == []


async def test_vectors_that_are_too_long_are_refused_with_what_to_do(database: Database, bot: Bot) -> None:
    documents, chunks = await two_chunks(database, bot)
    target = await add_set(database, bot, dimensions=MAX_DIMENSIONS + 1)

    with pytest.raises(ProviderUnavailable, match="KYROCHAT_EMBEDDING_DIMENSIONS") as refused:
        await PostgresVectors(database).upsert(target, documents[0], 1, [(chunks[0], [0.0] * (MAX_DIMENSIONS + 1))])

    assert not refused.value.retryable


@pytest.mark.parametrize("dimensions", [768, 3_072])
async def test_no_vector_lies_in_the_toast_table(database: Database, bot: Bot, dimensions: int) -> None:
    target = await add_set(database, bot, dimensions=dimensions)
    await add_vectors(database, bot, target, clustered(60, dimensions))

    async with database.begin([bot.workspace_id]) as session:
        connection = await session.connection()
        toast = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 'chunk_vec'"
        assert (await connection.execute(text(toast))).scalar_one() == 0
        widest = "SELECT max(pg_column_size(chunk_vec.*)) FROM chunk_vec"
        width = (await connection.execute(text(widest))).scalar_one()
    assert dimensions * 2 < width < dimensions * 2 + 120
    if dimensions == 768:
        assert width < 2_000


async def plan_of(database: Database, target: VectorSet, query: Sequence[float], *, approximate: bool) -> str:
    statement = vector_search.approximate(target.dimensions or 0) if approximate else vector_search.EXACT
    values = {"set_id": target.id, "bot_id": target.bot_id, "query": in_words(query), "limit": 100}
    values["documents"] = None
    explain = f"EXPLAIN {statement.compile(dialect=postgresql.dialect(paramstyle='named'))}"  # type: ignore[no-untyped-call]
    async with database.begin([target.workspace_id]) as session:
        connection = await session.connection()
        if approximate:
            await connection.execute(vector_search.FORCE_INDEX, {"ef_search": "200"})
        # More often than a prepared statement's plan is made for its values alone.
        plans = ["\n".join((await connection.execute(text(explain), values)).scalars()) for _ in range(8)]
    assert len({plan.split("cost")[0] for plan in plans}) == 1
    return plans[-1]


async def test_the_plans_are_forced_with_statistics_and_without(
    database: Database, urls: DatabaseUrls, ada: Viewer
) -> None:
    dimensions = 32
    bots = [await make_bot(database, ada, f"Bot {number}") for number in range(6)]
    sets = [await add_set(database, bot, dimensions=dimensions) for bot in bots]
    for bot, target in zip(bots[1:], sets[1:], strict=True):
        await add_vectors(database, bot, target, clustered(300, dimensions))
    vectors = clustered(3_000, dimensions)
    await add_vectors(database, bots[0], sets[0], vectors)
    indexing = VectorIndexing(urls.owner, database, exact_limit=1_000)
    assert await indexing.see_to(sets[0])
    assert not await indexing.see_to(sets[1])

    async def check() -> None:
        exact = await plan_of(database, sets[0], vectors[0], approximate=False)
        small = await plan_of(database, sets[1], vectors[0], approximate=False)
        through_index = await plan_of(database, sets[0], vectors[0], approximate=True)
        for plan in (exact, small):
            assert "hnsw" not in plan
            assert "Sort" in plan
        assert f"Index Scan using {vector_search.index_name(sets[0].id or 0)}" in through_index
        assert "Sort" not in through_index
        for plan in (exact, small, through_index):
            assert "hashed SubPlan" in plan
            assert "Nested Loop" not in plan
            # The policies are evaluated once a statement, not once a row.
            assert plan.count("InitPlan") >= 2
        assert "chunk_vec_set_id_idx" in small

    await check()
    owner = open_database(urls.owner)
    async with owner.begin() as session:
        await (await session.connection()).execute(text("ANALYZE"))
    await owner.close()
    await check()


async def test_the_index_finds_what_an_exact_search_finds_and_goes_when_it_is_not_needed(
    database: Database, urls: DatabaseUrls, bot: Bot
) -> None:
    dimensions, count = 96, 4_000
    target = await add_set(database, bot, dimensions=dimensions)
    vectors = clustered(count, dimensions)
    await add_vectors(database, bot, target, vectors)
    indexing = VectorIndexing(urls.owner, database, exact_limit=1_000)
    index = PostgresVectors(database)
    draw = random.Random(7)
    questions = [
        clustered(1, dimensions, seed=draw.randrange(10**6), near=vectors[draw.randrange(count)])[0] for _ in range(40)
    ]
    exact = [await index.search(target, question, 100) for question in questions]

    assert await indexing.see_to(target)
    found = [await index.search(target, question, 100) for question in questions]

    assert target.id is not None
    async with database.begin([bot.workspace_id]) as session:
        assert await vector_search.is_indexed(session, target.id)
    for depth in (10, 100):
        recalls = [
            len({each for each, _ in near[:depth]} & {each for each, _ in true[:depth]}) / depth
            for near, true in zip(found, exact, strict=True)
        ]
        assert sum(recalls) / len(recalls) >= 0.95
    for near in found:
        assert [score for _, score in near] == sorted((score for _, score in near), reverse=True)
    # Some documents are compared one by one: the walk through the index would end before it has met enough of them.
    async with database.begin([bot.workspace_id]) as session:
        some = (await session.exec(select(Document.id).where(Document.bot_id == bot.id).limit(1))).all()
    theirs = set(await chunks_of(database, bot, some[0]))
    among = [await index.search(target, question, 50, some) for question in questions]
    assert [len(hits) for hits in among] == [50] * len(questions)
    assert {each for hits in among for each, _ in hits} <= theirs
    # Twice is once, and an index without its set is an orphan.
    assert await indexing.see_to(target)
    async with database.begin([bot.workspace_id]) as session:
        await (await session.connection()).execute(text(f"DELETE FROM vector_sets WHERE id = {target.id}"))
    assert await indexing.drop_orphans() == 1
    async with database.begin([bot.workspace_id]) as session:
        assert not await vector_search.is_indexed(session, target.id)


async def ask(database: Database, query: str) -> Sequence[object]:
    async with database.begin() as session:
        return (await (await session.connection()).execute(text(query))).scalars().all()


async def test_a_build_that_is_cut_off_is_begun_again(database: Database, urls: DatabaseUrls, bot: Bot) -> None:
    target = await add_set(database, bot, dimensions=8)
    await add_vectors(database, bot, target, clustered(200, 8))
    indexing = VectorIndexing(urls.owner, database, exact_limit=100)
    assert target.id is not None
    waiting = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'"

    # Somebody's write, not yet committed, for whose end the build waits.
    async with database.begin([bot.workspace_id]) as session:
        await (await session.connection()).execute(text("UPDATE chunk_vec SET version = 1"))
        building = asyncio.create_task(indexing.see_to(target))
        owner = open_database(urls.owner)
        async with asyncio.timeout(30):
            # In transactions of their own: what a transaction has seen of this view it sees again.
            while not await ask(owner, waiting):
                await asyncio.sleep(0.02)
        await ask(owner, waiting.replace("SELECT pid", "SELECT pg_terminate_backend(pid)"))
        [end] = await asyncio.gather(building, return_exceptions=True)
    await owner.close()
    assert isinstance(end, Exception)
    async with database.begin([bot.workspace_id]) as session:
        assert not await vector_search.is_indexed(session, target.id)
    found = await PostgresVectors(database).search(target, [1.0] * 8, 10)

    assert await indexing.see_to(target)

    async with database.begin([bot.workspace_id]) as session:
        assert await vector_search.is_indexed(session, target.id)
    assert len(found) == 10
