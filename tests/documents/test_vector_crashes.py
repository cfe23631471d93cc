"""Workers that are killed between a commit and a vector, and the reverse: rows and vectors agree in the end."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus, VectorStore
from kyrochat.documents.reconcile import Reconciler
from kyrochat.retrieval.dense_setup import DenseSetup
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.pinecone_indexes import PineconeIndexes
from kyrochat.retrieval.pinecone_names import index_name, namespace_of, vector_id
from kyrochat.retrieval.vector_check import VectorCheck
from tests.documents.scene import Library, essay
from tests.fakes.pinecone import FakePinecone, running_fake_pinecone
from tests.jobs.scene import until
from tests.retrieval.dense.scene import Words, dense_on

ROOT = Path(__file__).parents[2]
NAME = "kyrochat"
# Some batches of vectors.
LONG = essay("Rhine", 640)


@pytest.fixture
async def fake() -> AsyncGenerator[FakePinecone, None]:
    async with running_fake_pinecone() as fake:
        yield fake


@pytest.fixture(params=[VectorStore.PGVECTOR, VectorStore.PINECONE])
def store(request: pytest.FixtureRequest) -> VectorStore:
    found: VectorStore = request.param
    return found


class Crash:
    """One worker that is killed at a place, and the library that goes on afterwards."""

    def __init__(self, library: Library, urls: DatabaseUrls, fake: FakePinecone, store: VectorStore, log: Path) -> None:
        self.urls, self.fake, self.store, self.log = urls, fake, store, log
        self.words = Words()
        self.indexes = PineconeIndexes(fake.api_key, fake.url, NAME) if store is VectorStore.PINECONE else None
        self.scene = replace(library, setup=DenseSetup(Embedders(self.words), store, self.indexes))

    async def happen(self, **where: int) -> None:
        """Start a worker, and kill it where it stops."""
        pinecone = (self.fake.api_key, self.fake.url, NAME) if self.indexes else None
        options: dict[str, Any] = {"url": self.urls.worker, "files": str(self.scene.directory), "pinecone": pinecone}
        options |= {"log": str(self.log), **where}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.documents.vector_process", json.dumps(options), cwd=ROOT
        )
        try:
            await until(lambda: self.log.exists() and "stopped" in self.log.read_text(), timeout_s=60)
        finally:
            process.kill()
            await process.wait()
        await self.scene.lapse()

    @property
    def embedded(self) -> int:
        """How many texts were embedded by the one that died."""
        return sum(int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("embedded"))

    async def vectors(self, viewer: Viewer, bot: Bot, document_id: Any) -> tuple[set[str], set[str]]:
        """The chunks of the document, and those with a vector in the store."""
        chunks = {str(chunk.id) for chunk in await self.scene.chunks(viewer, document_id)}
        if self.indexes is None:
            rows = await self.scene.run(
                f"SELECT chunk_id FROM chunk_vec WHERE document_id = '{document_id}' AND embedding IS NOT NULL",
                bot.workspace_id,
            )
            return chunks, {str(chunk_id) for (chunk_id,) in rows}
        held = self.fake.stored(index_name(NAME, self.words.dimensions), namespace_of(bot.workspace_id))
        mine = {key for key, stored in held.items() if stored["document"] == str(document_id)}
        scheme = self.words.scheme
        return {vector_id(chunk.id, scheme) for chunk in await self.scene.chunks(viewer, document_id)}, mine

    async def differences(self) -> list[Any]:
        database = self.scene.database
        check = VectorCheck(database, self.scene.setup.stores(database), self.scene.setup.retrieval(database))
        return [each async for each in Reconciler(database, self.scene.store, check).find()]

    async def close(self) -> None:
        if self.indexes is not None:
            await self.indexes.close()


@pytest.fixture
async def crash(
    library: Library, urls: DatabaseUrls, fake: FakePinecone, store: VectorStore, tmp_path: Path
) -> AsyncGenerator[Crash, None]:
    made = Crash(library, urls, fake, store, tmp_path / "log")
    yield made
    await made.close()


async def test_killed_after_the_commit_and_before_the_vectors_it_goes_on_with_what_is_missing(
    crash: Crash, ada: Viewer, bot: Bot
) -> None:
    document = await crash.scene.documents.add_text(ada, bot.id, "Essay", LONG)

    await crash.happen(before=3)
    chunks, held = await crash.vectors(ada, bot, document.id)
    found_meanwhile = await crash.scene.search(bot, "Rhine", 5)
    await crash.scene.work()

    assert (len(chunks), len(held), found_meanwhile) == (300, 200, [])
    row = await crash.scene.row(ada, document.id)
    chunks, held = await crash.vectors(ada, bot, document.id)
    assert row is not None
    assert (row.status, row.chunk_count) == (DocumentStatus.READY, len(chunks))
    assert len(chunks) > 300
    assert held == chunks
    # What had a vector kept it: nothing was paid for twice.
    assert crash.embedded == 200
    assert len(crash.words.embedded) == len(chunks) - 200
    assert await crash.differences() == []
    assert len(await crash.scene.search(bot, "Rhine 7", 5)) > 0


async def test_killed_after_the_vectors_and_before_the_commit_it_stores_one_batch_once_more(
    library: Library, urls: DatabaseUrls, fake: FakePinecone, ada: Viewer, bot: Bot, tmp_path: Path
) -> None:
    crash = Crash(library, urls, fake, VectorStore.PINECONE, tmp_path / "log")
    document = await crash.scene.documents.add_text(ada, bot.id, "Essay", LONG)

    await crash.happen(after=2)
    chunks, held = await crash.vectors(ada, bot, document.id)
    await crash.scene.work()

    assert len(held) == 200
    assert held < chunks
    chunks, held = await crash.vectors(ada, bot, document.id)
    assert held == chunks
    assert (crash.embedded, len(crash.words.embedded)) == (200, len(chunks) - 100)
    assert await crash.differences() == []
    await crash.close()


@pytest.mark.parametrize("where", [{"before": 2}, {"after": 2}])
async def test_a_document_that_is_deleted_after_the_crash_leaves_nothing_and_is_never_found(
    crash: Crash, ada: Viewer, bot: Bot, where: dict[str, int]
) -> None:
    if "after" in where and crash.indexes is None:
        where = {"before": 3}  # there is nothing in between: the row is the vector
    kept = await crash.scene.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await crash.scene.work()
    document = await crash.scene.documents.add_text(ada, bot.id, "Essay", LONG)

    await crash.happen(**where)
    _, held = await crash.vectors(ada, bot, document.id)
    await crash.scene.documents.delete(ada, document.id)
    found = [hit.document_id for hit in await crash.scene.search(bot, "Rhine 7 clock", 20)]
    await crash.scene.work()

    assert held != set()
    assert set(found) == {kept.id}
    assert await crash.scene.traces(ada, document.id) == {}
    assert (await crash.vectors(ada, bot, document.id))[1] == set()
    receipt = await crash.scene.documents.deletion(ada, document.id)
    assert receipt is not None
    assert receipt.verified_at is not None
    assert await crash.differences() == []


async def test_hits_whose_document_is_gone_are_dropped_whatever_the_index_says(
    crash: Crash, ada: Viewer, bot: Bot
) -> None:
    library = crash.scene
    goner = await library.documents.add_text(ada, bot.id, "Goner", "The Rhine is 1,233 km long.")
    kept = await library.documents.add_text(ada, bot.id, "Kept", "The Rhine is a river.")
    await library.work()
    crash.fake.visibility.held = True  # nothing that is deleted now disappears from searches
    await library.documents.delete(ada, goner.id)

    hits = await dense_on(library.database, library.setup).search(bot.workspace_id, bot.id, "Rhine")
    passages = await library.search(bot, "Rhine", 10)

    assert len(hits) == (2 if crash.indexes else 1)
    assert [passage.document_id for passage in passages] == [kept.id]
    crash.fake.settle()


async def test_vectors_that_were_lost_are_found_missing_and_made_again(crash: Crash, ada: Viewer, bot: Bot) -> None:
    library = crash.scene
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 60))
    await library.work()
    embedded = len(crash.words.embedded)
    if crash.indexes is None:
        await library.run("DELETE FROM chunk_vec WHERE chunk_id IN (SELECT id FROM chunks LIMIT 7)", bot.workspace_id)
    else:
        held = crash.fake.indexes[index_name(NAME, crash.words.dimensions)].namespaces[namespace_of(bot.workspace_id)]
        for key in sorted(held.accepted)[:7]:
            del held.accepted[key]

    [orphans] = await crash.differences()
    database = library.database
    check = VectorCheck(database, library.setup.stores(database), library.setup.retrieval(database))
    await Reconciler(database, library.store, check).repair(orphans)

    assert orphans.rows_without_vectors == (document.id,)
    assert len(crash.words.embedded) == embedded + 7
    chunks, held_now = await crash.vectors(ada, bot, document.id)
    assert held_now == chunks
    assert await crash.differences() == []
