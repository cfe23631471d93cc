"""What changes in a bot whose vectors are in Pinecone, which shows it later."""

import asyncio
from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot
from kyrochat.db.states import VectorStore
from kyrochat.documents.relabelling import Relabelling
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.dense_setup import DenseSetup
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.pinecone_indexes import PineconeIndexes
from kyrochat.retrieval.pinecone_names import index_name, namespace_of
from kyrochat.retrieval.rebuild import Progress, Rebuild
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.vector_indexing import VectorIndexing
from tests.documents.scene import PINECONE_NAME as NAME
from tests.documents.scene import Library, essay, no_pause
from tests.fakes.pinecone import FakePinecone
from tests.retrieval.dense.scene import Gated, Words, dense_on


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def library(library: Library, words: Words, indexes: PineconeIndexes) -> Library:
    return replace(library, setup=DenseSetup(Embedders(words), VectorStore.PINECONE, indexes))


@pytest.fixture
def dense(library: Library) -> DenseRetrieval:
    return dense_on(library.database, library.setup)


async def test_under_a_new_title_it_is_found_by_its_meaning(
    library: Library, dense: DenseRetrieval, words: Words, ada: Viewer, bot: Bot, fake: FakePinecone
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", "It flows into the sea.")
    await library.work()
    fake.visibility.after_searches = 2

    await Relabelling(library.database, library.changes).update(ada, document.id, title="Danube")
    await library.work()

    assert words.embedded == ["Rhine\nIt flows into the sea.", "Danube\nIt flows into the sea."]
    # Pinecone shows it from the job's end on: it was waited for.
    [(_, score)] = await dense.search(bot.workspace_id, bot.id, words.embedded[1])
    assert score == pytest.approx(1, abs=1e-3)


async def test_what_was_remembered_while_pinecone_did_not_show_a_vector_yet_is_forgotten_when_it_does(
    library: Library, dense: DenseRetrieval, ada: Viewer, bot: Bot, fake: FakePinecone
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", "It flows into the sea.")
    await library.work()
    retriever = Retriever(library.database, dense=dense)

    async def score() -> tuple[bool, float]:
        """Whether it came from memory, and how near the passage is."""
        trace = (await retriever.retrieve(bot, "Danube It flows into the sea.")).trace
        [candidate] = trace.candidates
        assert candidate.dense is not None
        return trace.cached, round(candidate.dense.score, 2)

    near_the_old = await score()
    fake.visibility.held = True
    await library.run(f"UPDATE documents SET title = 'Danube' WHERE id = '{document.id}'", bot.workspace_id)
    [(chunk_id,)] = await library.run("SELECT id FROM chunks", bot.workspace_id)
    await dense.renew(bot.workspace_id, bot.id, [chunk_id])
    meanwhile, remembered = await score(), await score()
    fake.visibility.held = False
    await dense.settle(bot.workspace_id, bot.id)

    assert [meanwhile, remembered] == [(False, near_the_old[1]), (True, near_the_old[1])]
    assert await score() == (False, 1.0)


async def test_vectors_that_come_after_their_documents_deletion_do_not_stay(
    library: Library, words: Words, ada: Viewer, bot: Bot, fake: FakePinecone, indexes: PineconeIndexes
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", essay("Rhine", 30))
    await library.work()
    slow = Gated()
    at_it = replace(library, setup=DenseSetup(Embedders(slow), VectorStore.PINECONE, indexes))
    await Relabelling(library.database, library.changes).update(ada, document.id, title="Danube")
    working = asyncio.create_task(at_it.work())
    await slow.reached.wait()

    await library.documents.delete(ada, document.id)
    await library.work()
    deleted = fake.stored(index_name(NAME, words.dimensions), namespace_of(bot.workspace_id))
    slow.gate.set()
    await working

    assert len(slow.embedded) > 1
    assert deleted == {}
    assert fake.stored(index_name(NAME, words.dimensions), namespace_of(bot.workspace_id)) == {}
    assert await library.traces(ada, document.id) == {}


async def test_vectors_that_a_rebuild_makes_of_a_document_that_is_deleted_meanwhile_do_not_stay(
    library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot, fake: FakePinecone, indexes: PineconeIndexes
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rhine", essay("Rhine", 30))
    await library.work()
    newer = Gated("newer/32", 32)
    setup = DenseSetup(Embedders(newer), VectorStore.PINECONE, indexes)
    rebuild = Rebuild(
        library.database,
        dense_on(library.database, setup),
        VectorIndexing(urls.owner, library.database),
        VectorStore.PINECONE,
        sleep=no_pause,
    )

    async def run() -> list[Progress]:
        return [progress async for progress in rebuild.run(bot)]

    moving = asyncio.create_task(run())
    await newer.reached.wait()
    await library.documents.delete(ada, document.id)
    await library.work()
    newer.gate.set()

    assert (await moving)[-1] == Progress(0, 0)
    assert len(newer.embedded) > 1
    assert fake.stored(index_name(NAME, newer.dimensions), namespace_of(bot.workspace_id)) == {}
