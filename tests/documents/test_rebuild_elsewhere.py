"""Moves into Pinecone, out of it, and inside it to vectors of another length, on the wire."""

import logging
from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot
from kyrochat.db.states import VectorStore
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.dense_setup import DenseSetup
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.pinecone_indexes import PineconeIndexes
from kyrochat.retrieval.pinecone_names import index_name, namespace_of, vector_id
from kyrochat.retrieval.rebuild import Progress, Rebuild
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.retrieval.vector_status import tell_of_other_schemes
from tests.documents.scene import PINECONE_NAME as NAME
from tests.documents.scene import Library, essay, no_pause
from tests.fakes.pinecone import FakePinecone
from tests.fakes.pinecone_steps import HttpError
from tests.retrieval.dense.scene import Words, dense_on, inside


def held(fake: FakePinecone, bot: Bot, words: Words) -> set[str]:
    index = fake.indexes.get(index_name(NAME, words.dimensions))
    return set(index.namespaces[namespace_of(bot.workspace_id)].visible) if index else set()


async def test_a_bot_moves_into_pinecone_to_longer_vectors_there_and_back(
    library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot, fake: FakePinecone, indexes: PineconeIndexes
) -> None:
    words, longer = Words(), Words("longer/128", 128)
    library = replace(library, setup=inside(words))
    await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 60))
    await library.work()
    chunks = [chunk_id for (chunk_id,) in await library.run("SELECT id FROM chunks", bot.workspace_id)]
    fake.visibility.after_searches = 2

    async def move(embedder: Words, store: VectorStore) -> Progress:
        others = {each.scheme: each for each in (words, longer)}
        setup = DenseSetup(Embedders(embedder, others.get), store, indexes)
        dense = dense_on(library.database, setup)
        indexing = VectorIndexing(urls.owner, library.database)
        rebuild = Rebuild(library.database, dense, indexing, store, sleep=no_pause)
        told = [progress async for progress in rebuild.run(bot)]
        # Pinecone shows it from the switch on: it was waited for.
        assert len(await dense.search(bot.workspace_id, bot.id, "Rhine 7")) == len(chunks)
        return told[-1]

    complete = Progress(len(chunks), len(chunks))
    assert await move(words, VectorStore.PINECONE) == complete
    assert held(fake, bot, words) == {vector_id(each, "words/64") for each in chunks}
    assert await move(longer, VectorStore.PINECONE) == complete
    assert (held(fake, bot, words), held(fake, bot, longer)) == (
        set(),
        {vector_id(each, "longer/128") for each in chunks},
    )
    assert await move(words, VectorStore.PGVECTOR) == complete
    assert (held(fake, bot, words), held(fake, bot, longer)) == (set(), set())
    assert sorted(fake.indexes) == ["kyrochat-128", "kyrochat-64"]


async def test_a_deletion_asks_for_no_index_that_there_never_was(
    library: Library, ada: Viewer, bot: Bot, fake: FakePinecone, indexes: PineconeIndexes
) -> None:
    library = replace(library, setup=DenseSetup(Embedders(Words()), VectorStore.PINECONE, indexes))
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 3))
    await library.work()
    fake.requests.clear()

    await library.documents.delete(ada, document.id)
    await library.work()

    assert held(fake, bot, Words()) == set()
    assert {request.index for request in fake.requests} == {"kyrochat-64"}


async def test_old_vectors_that_cannot_be_deleted_now_are_deleted_by_the_next_rebuild(
    library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot, fake: FakePinecone, indexes: PineconeIndexes
) -> None:
    words, newer = Words(), Words("newer/32", 32)
    library = replace(library, setup=DenseSetup(Embedders(words), VectorStore.PINECONE, indexes))
    await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 60))
    await library.work()
    setup = DenseSetup(Embedders(newer), VectorStore.PGVECTOR, indexes)
    indexing = VectorIndexing(urls.owner, library.database)
    rebuild = Rebuild(
        library.database, dense_on(library.database, setup), indexing, VectorStore.PGVECTOR, sleep=no_pause
    )
    fake.script("delete", HttpError(403))

    with pytest.raises(ProviderUnavailable):
        assert [progress async for progress in rebuild.run(bot)] == []
    stale = held(fake, bot, words)
    hits = await rebuild.dense.search(bot.workspace_id, bot.id, "Rhine 7")
    assert [progress async for progress in rebuild.run(bot)][-1].done == len(hits)

    assert len(stale) == len(hits) > 0
    assert held(fake, bot, words) == set()
    [(left,)] = await library.run("SELECT count(*) FROM vector_sets", bot.workspace_id)
    assert left == 1


async def test_a_server_tells_at_its_start_what_is_not_searched_as_its_settings_say(
    library: Library, ada: Viewer, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    first = replace(library, setup=inside(Words()))
    await first.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 4))
    await first.work()
    old, newer = Words(), Words("newer/32", 32)

    with caplog.at_level(logging.WARNING):
        await tell_of_other_schemes(library.database, None)
        await tell_of_other_schemes(library.database, dense_on(library.database, inside(old)))
        nothing = list(caplog.messages)
        await tell_of_other_schemes(library.database, dense_on(library.database, inside(newer, old)))
        await tell_of_other_schemes(library.database, dense_on(library.database, inside(newer)))

    assert nothing == []
    still, away = caplog.messages
    assert still == (
        "1 bots have vectors of words/64 in PostgreSQL, which still answer. To move them: kyrochat index rebuild"
    )
    assert "which cannot be searched here: words only" in away
