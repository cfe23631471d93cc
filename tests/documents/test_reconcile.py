"""Orphans in rows, files and vectors: each is found, repaired, and nothing else is touched."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.kinds import INGEST, SWEEP_VERSIONS
from kyrochat.documents.purge import VersionSweep
from kyrochat.documents.reconcile import Orphans, Reconciler
from kyrochat.jobs.queue import LeaseLost
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.pinecone import PineconeIndex, namespace_of, open_pinecone
from kyrochat.retrieval.ports import Vector
from tests.documents.scene import Library, essay, pieces
from tests.fakes.pinecone import FakePinecone, running_fake_pinecone

INDEX = "kyrochat"


class Compass:
    """An embedder for which all texts are alike."""

    scheme = "compass"

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        return [[1.0, 0.0]] * len(texts)

    async def embed_query(self, text: str) -> Vector:
        return [1.0, 0.0]


@pytest.fixture
async def fake() -> AsyncGenerator[FakePinecone, None]:
    async with running_fake_pinecone() as fake:
        yield fake


@pytest.fixture
async def index(fake: FakePinecone) -> AsyncGenerator[PineconeIndex, None]:
    opened = open_pinecone(fake.api_key, fake.url, INDEX, dimensions=2)
    yield opened
    await opened.close()


async def work(library: Library, index: PineconeIndex) -> None:
    """Do all ingestions and sweeps that are queued, with vectors."""
    ingestion = replace(library.ingestion(), dense=DenseRetrieval(Compass(), index))
    sweep = VersionSweep(library.worker_database, library.store, index)
    while jobs := await library.claim(INGEST, SWEEP_VERSIONS):
        for job in jobs:
            await (ingestion if job.kind == INGEST else sweep)(job)
            await library.end(job)


def reconciler(library: Library, index: PineconeIndex | None = None, young: timedelta = timedelta(0)) -> Reconciler:
    return Reconciler(library.database, library.changes, library.store, index, young)


async def found(reconciler: Reconciler) -> list[Orphans]:
    return [orphans async for orphans in reconciler.find()]


async def test_a_library_without_accidents_has_no_orphans(
    library: Library, ada: Viewer, bot: Bot, index: PineconeIndex
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 30))
    await work(library, index)
    await library.documents.replace_text(ada, document.id, None, essay("Elbe", 30))
    assert await found(reconciler(library, index)) == []  # nor while it is waiting to be read
    await work(library, index)

    assert await found(reconciler(library, index)) == []


async def test_files_without_rows_are_deleted_unless_they_are_young(library: Library, ada: Viewer, bot: Bot) -> None:
    kept = await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await library.work()
    stray, nobodys = f"{bot.workspace_id}/{new_id()}/{new_id()}", f"{new_id()}/{new_id()}/{new_id()}"
    for key in (stray, nobodys):
        await library.store.put(key, pieces(b"stray"), 100)

    young = await found(reconciler(library, young=timedelta(hours=1)))
    old = await found(reconciler(library))
    for orphans in old:
        await reconciler(library).repair(orphans)

    assert young == []
    assert old == [
        Orphans(bot.workspace_id, files_without_rows=(stray,)),
        Orphans(None, files_without_rows=(nobodys,)),
    ]
    assert library.files() == [kept.storage_key]
    assert await found(reconciler(library)) == []


async def test_a_missing_file_is_told_and_its_document_still_found(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await library.work()
    await library.store.delete(document.storage_key)

    [orphans] = await found(reconciler(library))
    await reconciler(library).repair(orphans)

    assert orphans == Orphans(bot.workspace_id, rows_without_files=(document.id,))
    assert await found(reconciler(library)) == [orphans]
    assert len(await library.search(bot, "clock", 5)) == 1


async def test_vectors_without_rows_are_deleted_and_missing_ones_made_anew_while_the_document_is_found(
    library: Library, ada: Viewer, bot: Bot, index: PineconeIndex, fake: FakePinecone
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 60))
    await work(library, index)
    namespace = namespace_of(bot.workspace_id)
    own = {UUID(name) for name in fake.stored(INDEX, namespace)}
    stray = new_id()
    await index.upsert(bot.workspace_id, bot.id, new_id(), 1, [(stray, [0.0, 1.0])])
    await index.delete_chunks(bot.workspace_id, sorted(own)[:2])

    [orphans] = await found(reconciler(library, index))
    await reconciler(library, index).repair(orphans)
    meanwhile = await library.search(bot, "Rhine", 5)
    await work(library, index)

    assert orphans == Orphans(bot.workspace_id, vectors_without_rows=(stray,), rows_without_vectors=(document.id,))
    assert {hit.document_version for hit in meanwhile} == {1}
    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.live_version) == (DocumentStatus.READY, 2)
    chunks = await library.chunks(ada, document.id)
    assert {UUID(name) for name in fake.stored(INDEX, namespace)} == {chunk.id for chunk in chunks}
    assert library.files() == [document.storage_key]
    assert await found(reconciler(library, index)) == []


async def test_more_vectors_than_a_page_are_all_looked_at(
    library: Library, ada: Viewer, bot: Bot, index: PineconeIndex
) -> None:
    ids = [new_id() for _ in range(2_500)]
    await index.upsert(bot.workspace_id, bot.id, new_id(), 1, [(each, [0.0, 1.0]) for each in ids])

    [orphans] = await found(reconciler(library, index))
    await reconciler(library, index).repair(orphans)

    assert orphans.vectors_without_rows == tuple(sorted(ids))
    assert await found(reconciler(library, index)) == []


async def test_what_a_replaced_ingestion_left_behind_is_found_and_removed(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await library.work()
    await library.run(f"UPDATE chunks SET version = 7 WHERE document_id = '{document.id}'", bot.workspace_id)

    [orphans] = await found(reconciler(library))
    await reconciler(library).repair(orphans)

    assert orphans == Orphans(bot.workspace_id, chunks_of_no_version=1)
    assert await found(reconciler(library)) == []


async def test_a_worker_that_is_lost_between_rows_and_vectors_leaves_no_orphans_after_the_next_attempt(
    library: Library, ada: Viewer, bot: Bot, index: PineconeIndex, fake: FakePinecone
) -> None:
    await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 30))
    [job] = await library.claim(INGEST)

    class Dying(Compass):
        async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
            raise LeaseLost("the worker is gone")

    with pytest.raises(LeaseLost):
        await replace(library.ingestion(), dense=DenseRetrieval(Dying(), index))(job)
    await library.lapse()
    await work(library, index)

    assert await found(reconciler(library, index)) == []
