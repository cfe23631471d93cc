"""Moves to another model or store: the old vectors serve until the new ones are complete, and nothing is mixed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot, VectorSet
from kyrochat.db.states import DocumentStatus, VectorSetState, VectorStore
from kyrochat.documents.relabelling import Relabelling
from kyrochat.errors import Conflict, ProviderUnavailable
from kyrochat.retrieval.dense import embedded_text
from kyrochat.retrieval.dense_setup import DenseSetup
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.ports import Vector
from kyrochat.retrieval.rebuild import AlreadyRebuilding, Progress, Rebuild
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.retrieval.vector_repository import coverage, sets_of_bot, texts
from kyrochat.retrieval.vector_status import status_of
from tests.documents.scene import Library, essay
from tests.retrieval.dense.scene import Gated, Words, dense_on, inside

SERVING, BUILDING, RETIRED = VectorSetState.SERVING, VectorSetState.BUILDING, VectorSetState.RETIRED


async def no_pause(seconds: float) -> None:
    assert seconds > 0


@dataclass(frozen=True)
class Move:
    """A bot with vectors of the old model, and a rebuild to another one."""

    scene: Library
    owner_url: str
    bot: Bot
    old: Words
    new: Words

    @property
    def rebuild(self) -> Rebuild:
        database = self.scene.database
        dense = dense_on(database, inside(self.new, self.old))
        return Rebuild(database, dense, VectorIndexing(self.owner_url, database), VectorStore.PGVECTOR, sleep=no_pause)

    async def run(self) -> list[Progress]:
        return [progress async for progress in self.rebuild.run(self.bot)]

    async def sets(self) -> list[tuple[str, VectorSetState, int]]:
        """The scheme, the state and the covered passages of each set."""
        async with self.scene.database.begin([self.bot.workspace_id]) as session:
            return [
                (each.scheme, each.state, (await coverage(session, each))[1])
                for each in await sets_of_bot(session, self.bot.id)
            ]

    async def hits(self, question: str) -> int:
        dense = dense_on(self.scene.database, inside(self.new, self.old))
        return len(await dense.search(self.bot.workspace_id, self.bot.id, question))


@pytest.fixture
async def move(library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot) -> Move:
    old, new = Words(), Gated("newer/32", 32, free=100)
    first = replace(library, setup=inside(old))
    await first.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 300))
    await first.work()
    return Move(replace(library, setup=inside(new, old)), urls.owner, bot, old, new)


def gate(move: Move) -> Gated:
    assert isinstance(move.new, Gated)
    return move.new


async def test_the_old_vectors_answer_until_the_new_ones_are_complete_and_are_swept_then(move: Move) -> None:
    [(_, _, total)] = await move.sets()
    moving = asyncio.create_task(move.run())
    await gate(move).reached.wait()
    in_between = (await move.sets(), await move.hits("Rhine 7"), len(move.old.asked), len(move.new.asked))
    gate(move).gate.set()

    told = await moving

    assert in_between == ([("words/64", SERVING, total), ("newer/32", BUILDING, 100)], 100, 1, 0)
    assert told[0] == Progress(0, total)
    assert told[-1] == Progress(total, total)
    assert await move.sets() == [("newer/32", SERVING, total)]
    assert await move.hits("Rhine 7") == 100
    assert (len(move.old.asked), len(move.new.asked)) == (1, 1)
    assert len(move.new.embedded) == total
    assert len(await move.scene.run("SELECT 1 FROM chunk_vec", move.bot.workspace_id)) == total


async def test_a_rebuild_that_fails_goes_on_where_it_was(move: Move) -> None:
    [(_, _, total)] = await move.sets()

    @dataclass
    class Failing(Words):
        async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
            if self.embedded:
                raise ProviderUnavailable("Its quota is used up.")
            return await Words.embed_documents(self, texts)

    failing = Failing("newer/32", 32)
    with pytest.raises(ProviderUnavailable):
        await replace(move, new=failing).run()
    assert await move.sets() == [("words/64", SERVING, total), ("newer/32", BUILDING, 100)]
    gate(move).free = total

    await move.run()

    assert len(failing.embedded) + len(move.new.embedded) == total
    assert set(failing.embedded).isdisjoint(move.new.embedded)
    assert await move.sets() == [("newer/32", SERVING, total)]
    again = await move.run()
    assert again == [Progress(total, total)]


async def test_what_is_added_replaced_and_deleted_meanwhile_ends_right(move: Move, ada: Viewer) -> None:
    library = move.scene
    gate(move).free = 100
    goner = await library.documents.add_text(ada, move.bot.id, "Goner", "The Weser is 452 km long.")
    await replace(library, setup=inside(move.old)).work()
    moving = asyncio.create_task(move.run())
    await gate(move).reached.wait()

    # Somebody whose process has both models, and somebody whose has the old one only.
    both = await library.documents.add_text(ada, move.bot.id, "Clock", "The clock is wound on Mondays.")
    gate(move).free = 10_000
    await library.work()
    behind = await library.documents.add_text(ada, move.bot.id, "Bell", "The bell is rung at noon.")
    await replace(library, setup=inside(move.old)).work()
    await library.documents.delete(ada, goner.id)
    await library.work()
    gate(move).gate.set()
    await moving

    for document in (both, behind):
        row = await library.row(ada, document.id)
        assert row is not None
        assert row.status is DocumentStatus.READY
    [(scheme, state, covered)] = await move.sets()
    chunks = await library.run("SELECT 1 FROM chunks", move.bot.workspace_id)
    assert (scheme, state, covered) == ("newer/32", SERVING, len(chunks))
    assert await library.traces(ada, goner.id) == {}
    status = await status_of(library.database, move.bot, dense_on(library.database, library.setup))
    assert status.needs_rebuild is False


async def test_no_search_finds_less_while_a_bot_moves(move: Move) -> None:
    gate(move).free = 10_000
    over = asyncio.Event()
    found: set[int] = set()

    async def search_on() -> None:
        while not over.is_set():
            found.add(await move.hits("Rhine 7"))

    searching = [asyncio.create_task(search_on()) for _ in range(3)]

    async def grace(seconds: float) -> None:
        """As long as searches may take that began with the old vectors; some begin with the new ones meanwhile."""
        assert seconds > 0
        async with asyncio.timeout(30):
            while len(move.new.asked) < 10:
                await asyncio.sleep(0.001)
        over.set()
        await asyncio.gather(*searching)

    assert [progress async for progress in replace(move.rebuild, sleep=grace).run(move.bot)]

    assert found == {100}
    assert move.old.asked
    assert [scheme for scheme, _, _ in await move.sets()] == ["newer/32"]


async def test_what_gets_another_title_while_it_is_embedded_is_found_under_the_new_one(move: Move, ada: Viewer) -> None:
    library = move.scene
    [(document_id,)] = await library.run("SELECT id FROM documents", move.bot.workspace_id)
    moving = asyncio.create_task(move.run())
    await gate(move).reached.wait()

    await Relabelling(library.database, library.changes).update(ada, document_id, title="Danube")
    # The job is through before the rebuild stores what it has embedded under the old title.
    gate(move).free = 10_000
    await library.work()
    gate(move).gate.set()
    await moving

    [(_, state, covered)] = await move.sets()
    dense = dense_on(library.database, library.setup)
    target, embedder = await dense.serving(move.bot.workspace_id, move.bot.id)
    async with library.database.begin([move.bot.workspace_id]) as session:
        ids = [chunk_id for (chunk_id,) in await library.run("SELECT id FROM chunks", move.bot.workspace_id)]
        chunks = await texts(session, ids)
    assert (state, covered, {chunk.title for chunk in chunks}) == (SERVING, len(chunks), {"Danube"})
    for chunk in chunks:
        query = await embedder.embed_query(embedded_text(chunk))
        assert await dense.scores(target, query, [chunk.chunk_id]) == {chunk.chunk_id: pytest.approx(1, abs=1e-3)}


async def test_an_ingestion_that_is_half_done_when_a_rebuild_begins_and_ends_is_complete_when_it_goes_live(
    move: Move, ada: Viewer
) -> None:
    library = move.scene
    slow = Gated(free=0)
    document = await library.documents.add_text(ada, move.bot.id, "Slow", essay("Elbe", 300))
    ingesting = asyncio.create_task(replace(library, setup=inside(slow, move.new)).work())
    await slow.reached.wait()
    gate(move).free = 10_000

    await move.run()
    slow.gate.set()
    await ingesting

    chunks = await library.chunks(ada, document.id)
    [(scheme, _, covered)] = await move.sets()
    async with library.database.begin([move.bot.workspace_id]) as session:
        [target] = await sets_of_bot(session, move.bot.id)
        assert await coverage(session, target) == (covered, covered)
    assert scheme == "newer/32"
    assert covered > len(chunks) > 100


async def test_a_rebuild_to_where_the_bot_is_gives_up_one_to_elsewhere_and_fills_gaps(move: Move, ada: Viewer) -> None:
    library = move.scene
    [(_, _, total)] = await move.sets()
    moving = asyncio.create_task(move.run())
    await gate(move).reached.wait()
    moving.cancel()
    await asyncio.wait([moving])
    await library.run(
        "DELETE FROM chunk_vec WHERE set_id = (SELECT min(id) FROM vector_sets) AND chunk_id IN"
        " (SELECT id FROM chunks LIMIT 5)",
        move.bot.workspace_id,
    )
    embedded = len(move.old.embedded)

    back = replace(move, old=move.new, new=move.old)
    await back.run()

    assert await move.sets() == [("words/64", SERVING, total)]
    assert len(move.old.embedded) == embedded + 5


async def test_two_rebuilds_of_a_bot_at_once_are_one(move: Move) -> None:
    moving = asyncio.create_task(move.run())
    await gate(move).reached.wait()

    with pytest.raises(AlreadyRebuilding):
        await move.run()

    gate(move).gate.set()
    await moving
    await move.run()


async def test_a_bot_that_is_deleted_meanwhile_is_left_alone(move: Move, ada: Viewer) -> None:
    moving = asyncio.create_task(move.run())
    await gate(move).reached.wait()
    await move.scene.bots.delete(ada, move.bot.id)
    await move.scene.work()
    gate(move).gate.set()

    with pytest.raises(Conflict, match="was deleted"):
        await moving
    with pytest.raises(Conflict, match="was deleted"):
        await move.run()

    assert await move.sets() == []
    assert await move.scene.traces(ada) == {}


async def test_moving_to_another_store_copies_vectors_of_the_same_model_rather_than_paying_again(
    library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot
) -> None:
    words, shelf = Words(), Shelf()
    first = replace(library, setup=inside(words))
    await first.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 300))
    await first.work()
    embedded = len(words.embedded)
    setup = DenseSetup(Embedders(words), VectorStore.PINECONE, shelf)
    database = library.database
    rebuild = Rebuild(
        database, dense_on(database, setup), VectorIndexing(urls.owner, database), VectorStore.PINECONE, sleep=no_pause
    )

    told = [progress async for progress in rebuild.run(bot)]

    chunks = await library.run("SELECT id FROM chunks", bot.workspace_id)
    assert told[-1] == Progress(len(chunks), len(chunks))
    assert shelf.held.keys() == {(chunk_id, "words/64") for (chunk_id,) in chunks}
    assert len(words.embedded) == embedded
    [(kept,)] = await library.run("SELECT count(*) FROM chunk_vec WHERE embedding IS NOT NULL", bot.workspace_id)
    assert kept == 0
    # And back: the vectors there are deleted, those here made again.
    back = replace(rebuild, store=VectorStore.PGVECTOR)
    assert [progress async for progress in back.run(bot)][-1] == told[-1]
    assert shelf.held == {}
    assert len(words.embedded) == 2 * embedded


@dataclass
class Shelf:
    """An index outside of PostgreSQL, in memory."""

    held: dict[tuple[Any, str], Vector] = field(default_factory=dict)

    def of(self, dimensions: int) -> "Shelf":
        return self

    def opened(self) -> tuple[int, ...]:
        return ()

    async def upsert(self, target: VectorSet, document_id: Any, version: int, vectors: Sequence[Any]) -> None:
        self.held |= {(chunk_id, target.scheme): vector for chunk_id, vector in vectors}

    async def search(
        self, target: VectorSet, query: Vector, limit: int, documents: Sequence[Any] | None = None
    ) -> Sequence[Any]:
        return []

    async def delete_document(self, workspace_id: Any, document_id: Any, *, keep_version: int | None = None) -> int:
        return 0

    async def settle(self, target: VectorSet) -> bool:
        return True

    async def delete_set(self, target: VectorSet) -> int:
        gone = [key for key in self.held if key[1] == target.scheme]
        for key in gone:
            del self.held[key]
        return len(gone)

    async def delete_workspace(self, workspace_id: Any) -> int:
        return 0


async def test_a_status_says_what_is_searched_and_what_to_do(move: Move) -> None:
    database = move.scene.database
    dense = dense_on(database, inside(move.new))
    before = await status_of(database, move.bot, dense)
    gate(move).free = 10_000
    await move.run()
    after = await status_of(database, move.bot, dense)

    assert [(each.scheme, each.state, each.is_usable) for each in before.sets] == [("words/64", SERVING, False)]
    assert [(each.scheme, each.state, each.is_usable) for each in after.sets] == [("newer/32", SERVING, True)]
    assert (before.needs_rebuild, after.needs_rebuild) == (True, False)
    assert before.passages == before.sets[0].covered == after.passages == after.sets[0].covered
    # Without an embedder nothing can be done about it.
    assert (await status_of(database, move.bot, None)).needs_rebuild is False
