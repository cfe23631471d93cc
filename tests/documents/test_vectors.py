"""From an upload to a passage found by its meaning, with vectors in PostgreSQL; and when there can be none."""

import logging
from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus, VectorSetState, VectorStore
from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.dense import NoVectors
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import Leg
from kyrochat.retrieval.trace import LegStatus
from kyrochat.retrieval.vector_repository import coverage, sets_of_bot
from tests.documents.scene import Library, essay
from tests.retrieval.dense.scene import Words, dense_on, inside


async def sets(library: Library, bot: Bot) -> list[tuple[VectorStore, str, int | None, VectorSetState]]:
    async with library.database.begin([bot.workspace_id]) as session:
        found = await sets_of_bot(session, bot.id)
    return [(each.store, each.scheme, each.dimensions, each.state) for each in found]


async def covered(library: Library, bot: Bot) -> list[tuple[int, int]]:
    """For each set, the bot's live chunks and how many have their vector."""
    async with library.database.begin([bot.workspace_id]) as session:
        return [await coverage(session, each) for each in await sets_of_bot(session, bot.id)]


def with_embedder(library: Library, *embedders: Words) -> Library:
    return replace(library, setup=inside(*embedders))


async def test_an_uploaded_documents_vectors_lie_in_postgresql_and_find_it(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    words = Words()
    library = with_embedder(library, words)
    rhine = await library.documents.add_text(ada, bot.id, "Rivers", "# Rhine\n\nThe Rhine is 1,233 km long.")
    await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await library.work()

    hits = await dense_on(library.database, library.setup).search(bot.workspace_id, bot.id, "Rhine long")

    [chunk] = await library.chunks(ada, rhine.id)
    assert hits[0][0] == chunk.id
    assert len(hits) == 2
    assert words.embedded == [
        "Rivers\n# Rhine\n\nThe Rhine is 1,233 km long.",
        "Clock\nThe clock is wound on Mondays.",
    ]
    assert words.asked == ["Rhine long"]
    assert await sets(library, bot) == [(VectorStore.PGVECTOR, "words/64", 64, VectorSetState.SERVING)]
    assert await covered(library, bot) == [(2, 2)]


async def test_a_document_that_is_replaced_or_deleted_takes_its_vectors_along(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    library = with_embedder(library, Words())
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 30))
    await library.work()
    before = await library.traces(ada, document.id)
    await library.documents.replace_text(ada, document.id, None, essay("Elbe", 10))
    await library.work()

    after = await library.traces(ada, document.id)
    chunks = await library.chunks(ada, document.id)
    assert before["chunk_vec"] == before["chunks"] > len(chunks)
    assert after["chunk_vec"] == after["chunks"] == len(chunks)

    await library.documents.delete(ada, document.id)
    dense = dense_on(library.database, library.setup)
    assert await dense.search(bot.workspace_id, bot.id, "Elbe") == []
    await library.work()
    assert await library.traces(ada, document.id) == {}
    receipt = await library.documents.deletion(ada, document.id)
    assert receipt is not None
    assert (receipt.chunks_deleted, receipt.vectors_deleted) == (len(chunks), 2 * len(chunks))


async def test_another_model_than_that_of_the_vectors_is_never_compared_with_them(
    library: Library, ada: Viewer, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    await_old = with_embedder(library, Words())
    await await_old.documents.add_text(ada, bot.id, "Rivers", "The Rhine is 1,233 km long.")
    await await_old.work()
    newer = Words("newer/64")
    library = with_embedder(library, newer)
    retriever = Retriever(library.database, dense=library.setup.retrieval(library.database))

    with caplog.at_level(logging.WARNING):
        traces = [(await retriever.retrieve(bot, "Rhine")).trace for _ in range(3)]
        await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
        await library.work()

    reports = [leg for trace in traces for leg in trace.legs if leg.leg is Leg.DENSE]
    assert [report.status for report in reports] == [LegStatus.OFF] * 3
    assert {report.reason for report in reports} == {
        "The bot's vectors are of words/64, which is not set up here. Run: kyrochat index rebuild"
    }
    assert (newer.asked, newer.embedded) == ([], [])
    told = [record.message for record in caplog.records if "words/64" in record.message]
    assert len(told) == 2  # once for the questions, once for the documents
    assert all("kyrochat index rebuild" in message for message in told)
    assert len(await library.search(bot, "Rhine", 5)) == 1
    assert await covered(library, bot) == [(2, 1)]


async def test_the_old_model_goes_on_where_it_can_still_be_had(library: Library, ada: Viewer, bot: Bot) -> None:
    old, newer = Words(), Words("newer/64")
    first = with_embedder(library, old)
    await first.documents.add_text(ada, bot.id, "Rivers", "The Rhine is 1,233 km long.")
    await first.work()
    library = with_embedder(library, newer, old)
    await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await library.work()

    hits = await dense_on(library.database, library.setup).search(bot.workspace_id, bot.id, "clock")

    assert len(hits) == 2
    assert (old.asked, len(old.embedded), newer.embedded) == (["clock"], 2, [])
    assert await sets(library, bot) == [(VectorStore.PGVECTOR, "words/64", 64, VectorSetState.SERVING)]


async def test_a_bot_that_has_answered_without_vectors_is_not_searched_by_some_of_them(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine is 1,233 km long.")
    await library.work()
    library = with_embedder(library, Words())
    await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await library.work()

    assert await sets(library, bot) == [(VectorStore.PGVECTOR, "words/64", 64, VectorSetState.BUILDING)]
    with pytest.raises(NoVectors, match="no vectors yet"):
        await dense_on(library.database, library.setup).search(bot.workspace_id, bot.id, "clock")
    assert await covered(library, bot) == [(2, 1)]


async def test_a_model_that_changes_its_length_behind_its_name_is_refused(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    first = with_embedder(library, Words())
    await first.documents.add_text(ada, bot.id, "Rivers", "The Rhine is 1,233 km long.")
    await first.work()
    library = with_embedder(library, Words(dimensions=32))
    document = await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")

    await library.work()

    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.attempts) == (DocumentStatus.QUEUED, 0)
    assert "kyrochat index rebuild" in (row.failure or "")
    with pytest.raises(ProviderUnavailable, match="behind its name"):
        await dense_on(library.database, library.setup).search(bot.workspace_id, bot.id, "Rhine")
    assert (await library.traces(ada, document.id)).get("chunk_vec") is None
