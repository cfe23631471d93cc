"""A search that was made before is answered from memory, and never with what is not true any more."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import select

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.models import Bot, Chunk, Document, SearchVersion
from kyrochat.db.states import VectorSetState, VectorStore
from kyrochat.retrieval import vector_repository as rows
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search import IndexState, Retrieval, Search
from kyrochat.retrieval.search_cache import MAX_BYTES, SearchCache
from kyrochat.retrieval.search_settings import DocumentFilter, Leg, MetadataCondition, SearchSettings
from kyrochat.retrieval.trace import SearchTrace
from kyrochat.retrieval.vector_repository import ChunkText
from tests.factories import make_bot, make_document, make_viewer
from tests.retrieval.dense.scene import Words, dense_on, inside

ROOT = Path(__file__).parents[2]
QUESTION = "Which river has water?"


@pytest.fixture
async def ada(database: Database) -> Viewer:
    return await make_viewer(database, "ada@example.com")


@pytest.fixture
async def bot(database: Database, ada: Viewer) -> Bot:
    return await make_bot(database, ada)


@pytest.fixture
async def neighbour(urls: DatabaseUrls) -> AsyncGenerator[Retriever, None]:
    """The retriever of another process: with a pool and caches of its own."""
    database = open_database(urls.app)
    yield Retriever(database)
    await database.close()


async def river(database: Database, bot: Bot, name: str) -> Document:
    return await make_document(database, bot, f"The {name} is a river with water.", name, tags=[name])


def titles(found: Retrieval) -> set[str]:
    return {passage.document_title for passage in found.passages}


async def change(database: Database, bot: Bot, statement: str, document_id: UUID) -> None:
    async with database.begin([bot.workspace_id]) as session:
        await (await session.connection()).execute(text(f"{statement} WHERE id = :id"), {"id": document_id})


async def test_the_same_search_is_answered_from_memory_and_says_so(database: Database, bot: Bot) -> None:
    await river(database, bot, "Rhine")
    retriever = Retriever(database)

    first, second = await retriever.retrieve(bot, QUESTION), await retriever.retrieve(bot, QUESTION)
    third = await retriever.retrieve(bot, QUESTION, fresh=True)

    assert (first.trace.cached, second.trace.cached, third.trace.cached) == (False, True, False)
    assert first.passages == second.passages == third.passages
    assert second.trace.legs == first.trace.legs
    assert first.trace.index_version == second.trace.index_version == 1


async def test_another_question_bot_or_setting_is_another_search(database: Database, ada: Viewer, bot: Bot) -> None:
    await river(database, bot, "Rhine")
    retriever = Retriever(database)
    await retriever.retrieve(bot, QUESTION)
    bob = await make_viewer(database, "bob@example.com")
    others = [await make_bot(database, ada, "Other"), await make_bot(database, bob)]

    found = [
        await retriever.retrieve(bot, QUESTION + "?"),
        await retriever.retrieve(bot, QUESTION, SearchSettings(top_k=3)),
        await retriever.retrieve(bot, QUESTION, SearchSettings(filter=DocumentFilter(any_tags=("Rhine",)))),
        await retriever.retrieve(Bot(**{**bot.model_dump(), "min_score": 0.99}), QUESTION),
        *[await retriever.retrieve(other, QUESTION) for other in others],
    ]

    assert [each.trace.cached for each in found] == [False] * 6
    assert [titles(each) for each in found] == [{"Rhine"}, {"Rhine"}, {"Rhine"}, set(), set(), set()]


async def test_a_filter_for_one_and_a_filter_for_true_are_two(database: Database, bot: Bot) -> None:
    for name, value in {"Rhine": True, "Elbe": 1}.items():
        await make_document(database, bot, f"The {name} is a river with water.", name, attributes={"big": value})
    retriever = Retriever(database)

    async def found(value: bool | float) -> tuple[set[str], str]:
        wanted = DocumentFilter(metadata=(MetadataCondition("big", equals=value),))
        result = await retriever.retrieve(bot, QUESTION, SearchSettings(filter=wanted))
        return titles(result), repr(result.trace.settings.filter.metadata[0].equals)

    assert await found(1) == ({"Elbe"}, "1")
    assert await found(True) == ({"Rhine"}, "True")
    assert await found(1.0) == ({"Elbe"}, "1.0")


def test_what_searches_were_asked_for_has_its_share_of_the_room(bot: Bot) -> None:
    cache, searches = SearchCache(), []
    for number in range(400):
        values = tuple(f"{number} {value} " + "x" * 480 for value in range(50))
        wanted = DocumentFilter(metadata=tuple(MetadataCondition(f"key{key}", any_of=values) for key in range(10)))
        settings = SearchSettings(filter=wanted).resolved(bot)
        search = Search(bot, QUESTION, settings, None, IndexState(1, 1, 1, 1))
        cache.put(search, Retrieval((), SearchTrace(QUESTION, settings)))
        searches.append(search)

    kept = sum(len(repr(search.used)) for search in searches if cache.get(search) is not None)

    assert 0 < kept <= MAX_BYTES


async def test_of_a_bot_that_is_deleted_nothing_is_remembered(database: Database, bot: Bot) -> None:
    await river(database, bot, "Rhine")
    retriever = Retriever(database)
    assert titles(await retriever.retrieve(bot, QUESTION)) == {"Rhine"}

    await change(database, bot, "UPDATE bots SET deleted_at = now()", bot.id)

    found = await retriever.retrieve(bot, QUESTION)
    assert (titles(found), found.trace.cached, found.trace.index_version) == (set(), False, None)


async def test_documents_that_another_process_deletes_are_gone_at_once(
    database: Database, urls: DatabaseUrls, bot: Bot
) -> None:
    documents = [await river(database, bot, f"River{number}") for number in range(8)]
    options = {
        "url": urls.app,
        "workspace_id": str(bot.workspace_id),
        "documents": [str(document.id) for document in documents],
    }
    deleting = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.retrieval.deleting_process",
        json.dumps(options),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    assert deleting.stdin is not None
    assert deleting.stdout is not None
    retriever = Retriever(database)
    done = asyncio.Event()
    gone: set[str] = set()

    async def keep_searching() -> int:
        count = 0
        while not done.is_set():
            # What was deleted before a search begins is not in its result, wherever that comes from.
            before = frozenset(gone)
            assert not before & titles(await retriever.retrieve(bot, QUESTION))
            count += 1
        return count

    searching = [asyncio.create_task(keep_searching()) for _ in range(3)]
    for document in documents:
        for _ in range(3):
            await retriever.retrieve(bot, QUESTION)
        assert (await retriever.retrieve(bot, QUESTION)).trace.cached
        deleting.stdin.write(b"next\n")
        assert (await deleting.stdout.readline()) == b"gone\n"
        gone.add(document.title)
        found = await retriever.retrieve(bot, QUESTION)
        assert titles(found) == {each.title for each in documents} - gone
    done.set()
    assert min(await asyncio.gather(*searching)) > 0
    assert await deleting.wait() == 0


CHANGES = [
    "UPDATE documents SET deleted_at = now()",
    "UPDATE documents SET deleted_at = NULL",
    "UPDATE documents SET live_version = NULL",
    "UPDATE documents SET live_version = 1",
    "UPDATE documents SET tags = '{wanted}'",
    "UPDATE documents SET tags = '{}'",
    "UPDATE documents SET title = title || ' again'",
    "UPDATE documents SET attributes = '{\"wanted\": true}'",
    "UPDATE documents SET source = 'WEB'",
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 2)), min_size=1, max_size=8))
async def test_whatever_changes_both_processes_tell_what_a_fresh_search_finds(
    database: Database, neighbour: Retriever, changes: list[tuple[str, int]]
) -> None:
    viewer = await make_viewer(database, f"{new_id()}@example.com")
    bot = await make_bot(database, viewer)
    documents = [await river(database, bot, name) for name in ("Rhine", "Elbe", "Aare")]
    here = Retriever(database)
    wanted = [SearchSettings(), SearchSettings(filter=DocumentFilter(any_tags=("wanted",)))]

    for statement, number in changes:
        await change(database, bot, statement, documents[number].id)
        for each in wanted:
            fresh = await here.retrieve(bot, QUESTION, each, fresh=True)
            for retriever in (here, neighbour, here, neighbour):
                assert (await retriever.retrieve(bot, QUESTION, each)).passages == fresh.passages


async def test_a_transaction_counts_once_and_only_what_can_be_found_counts(database: Database, bot: Bot) -> None:
    documents = [await river(database, bot, name) for name in ("Rhine", "Elbe")]

    async def version() -> int:
        async with database.begin([bot.workspace_id]) as session:
            return (await session.exec(select(SearchVersion.version))).one()

    async def run(*statements: str) -> int:
        before = await version()
        async with database.begin([bot.workspace_id]) as session:
            for statement in statements:
                await (await session.connection()).execute(text(statement))
        return await version() - before

    assert await version() == 2
    assert await run("UPDATE documents SET title = title || '!'", "UPDATE documents SET tags = '{x}'") == 1
    assert await run("UPDATE documents SET progress = 0.5, status = 'PROCESSING', version = 2, updated_at = now()") == 0
    assert await run("UPDATE documents SET tags = '{x}'") == 0
    assert await run(f"UPDATE documents SET live_version = 2 WHERE id = '{documents[0].id}'") == 1
    assert await run(f"UPDATE documents SET deleted_at = now() WHERE id = '{documents[1].id}'") == 1


async def test_two_that_change_the_same_bot_wait_for_each_others_commit_only(database: Database, bot: Bot) -> None:
    documents = [await river(database, bot, name) for name in ("Rhine", "Elbe")]
    both = asyncio.Barrier(2)

    async def label(first: Document, second: Document) -> None:
        for document in (first, second):
            async with database.begin([bot.workspace_id]) as session:
                statement = text("UPDATE documents SET tags = tags || CAST('x' AS text) WHERE id = :id")
                await (await session.connection()).execute(statement, {"id": document.id})
                # Both have changed a document before either commits.
                await both.wait()

    async with asyncio.timeout(30):
        await asyncio.gather(label(*documents), label(*reversed(documents)))

    async with database.begin([bot.workspace_id]) as session:
        assert (await session.exec(select(SearchVersion.version))).one() == 6


async def test_a_vector_that_comes_late_is_found_at_once(database: Database, bot: Bot) -> None:
    dense = dense_on(database, inside(Words()))
    retriever = Retriever(database, dense=dense)
    document = await river(database, bot, "Rhine")
    async with database.begin([bot.workspace_id]) as session:
        chunks = (await session.exec(select(Chunk).where(Chunk.document_id == document.id))).all()
        serving = VectorSetState.SERVING
        await rows.add_set(session, bot.id, bot.workspace_id, VectorStore.PGVECTOR, Words().scheme, serving)
    texts = [ChunkText(each.id, each.document_id, each.version, "Rhine", each.heading, each.text) for each in chunks]
    before, again = await retriever.retrieve(bot, QUESTION), await retriever.retrieve(bot, QUESTION)

    await dense.store_chunks(bot.workspace_id, bot.id, texts)

    after = await retriever.retrieve(bot, QUESTION)
    assert [found.trace.cached for found in (before, again, after)] == [False, True, False]
    assert [_by_meaning(found) for found in (before, again, after)] == [0, 0, 1]


def _by_meaning(found: Retrieval) -> int:
    return sum(leg.candidates or 0 for leg in found.trace.legs if leg.leg is Leg.DENSE)
