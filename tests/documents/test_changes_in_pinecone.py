"""What changes in a bot whose vectors are in Pinecone, which shows it later."""

from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import VectorStore
from kyrochat.documents.relabelling import Relabelling
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.dense_setup import DenseSetup
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.pinecone_indexes import PineconeIndexes
from kyrochat.retrieval.retriever import Retriever
from tests.documents.scene import Library
from tests.fakes.pinecone import FakePinecone
from tests.retrieval.dense.scene import Words, dense_on


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
