"""Orphans in rows, files and vectors: each is found, repaired, and nothing else is touched."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.models import Bot, VectorSet
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.kinds import INGEST, SWEEP_VERSIONS
from kyrochat.documents.purge import VersionSweep
from kyrochat.documents.reconcile import Orphans, Reconciler
from kyrochat.jobs.queue import LeaseLost
from kyrochat.retrieval.pinecone import PineconeIndex, open_pinecone
from kyrochat.retrieval.pinecone_names import namespace_of, vector_id
from kyrochat.retrieval.ports import StoredVector, Vector
from kyrochat.retrieval.vector_check import VectorCheck
from kyrochat.retrieval.vector_repository import sets_of_bot
from tests.documents.scene import Library, essay, pieces
from tests.fakes.pinecone import FakePinecone
from tests.retrieval.dense.scene import Compass, elsewhere, inside

INDEX = "kyrochat"


@pytest.fixture
async def index(fake: FakePinecone) -> AsyncGenerator[PineconeIndex, None]:
    opened = open_pinecone(fake.api_key, fake.url, INDEX, dimensions=2)
    yield opened
    await opened.close()


async def work(library: Library, index: PineconeIndex) -> None:
    """Do all ingestions and sweeps that are queued, with vectors."""
    setup = elsewhere(index)
    ingestion = replace(library, setup=setup).ingestion()
    sweep = VersionSweep(library.worker_database, library.store, setup.stores(library.worker_database))
    while jobs := await library.claim(INGEST, SWEEP_VERSIONS):
        for job in jobs:
            await (ingestion if job.kind == INGEST else sweep)(job)
            await library.end(job)


def reconciler(
    library: Library,
    index: PineconeIndex | None = None,
    young: timedelta = timedelta(0),
    embedder: Compass | None = None,
) -> Reconciler:
    if index is None:
        return Reconciler(library.database, library.store, young=young)
    setup = elsewhere(index, embedder)
    check = VectorCheck(library.database, setup.stores(library.database), setup.retrieval(library.database))
    return Reconciler(library.database, library.store, check, young)


class Counting(Compass):
    """An embedder that counts the texts that it is given."""

    embedded = 0

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        self.embedded += len(texts)
        return await Compass.embed_documents(self, texts)


async def sets(library: Library, bot: Bot) -> Sequence[VectorSet]:
    async with library.database.begin([bot.workspace_id]) as session:
        return await sets_of_bot(session, bot.id)


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
    own = [chunk.id for chunk in await library.chunks(ada, document.id)]
    [target] = await sets(library, bot)
    stray = StoredVector(new_id(), target.scheme)
    outdated = StoredVector(own[0], "of another model")
    await index.upsert(target, new_id(), 1, [(stray.chunk_id, [0.0, 1.0])])
    old = VectorSet(workspace_id=bot.workspace_id, bot_id=bot.id, scheme=outdated.scheme)
    await index.upsert(old, document.id, 1, [(outdated.chunk_id, [0.0, 1.0])])
    lost = sorted(own)[:2]
    await index.delete_stored(bot.workspace_id, [StoredVector(each, target.scheme) for each in lost])
    embedder = Counting()

    [orphans] = await found(reconciler(library, index))
    await reconciler(library, index, embedder=embedder).repair(orphans)

    assert orphans == Orphans(
        bot.workspace_id,
        vectors_without_rows=tuple(sorted([stray, outdated])),
        rows_without_vectors=(document.id,),
        vectors_lost=tuple((target.id or 0, each) for each in lost),
    )
    assert embedder.embedded == len(lost)
    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.live_version) == (DocumentStatus.READY, 1)
    assert fake.stored(INDEX, namespace).keys() == {vector_id(each, target.scheme) for each in own}
    assert await found(reconciler(library, index)) == []


async def test_vectors_of_a_set_that_goes_meanwhile_are_not_made_for_ever(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    class Sweeping(Counting):
        async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
            await library.run("DELETE FROM vector_sets", bot.workspace_id)
            assert not self.embedded, "Once is enough."
            return await Counting.embed_documents(self, texts)

    await replace(library, setup=inside(Compass())).documents.add_text(ada, bot.id, "Essay", essay("Rhine", 30))
    await replace(library, setup=inside(Compass())).work()
    await library.run("DELETE FROM chunk_vec", bot.workspace_id)
    setup = inside(Sweeping())
    check = VectorCheck(library.database, setup.stores(library.database), setup.retrieval(library.database))

    await check.mend(bot.workspace_id, await check.find(bot.workspace_id))

    assert await sets(library, bot) == []


async def test_more_vectors_than_a_page_are_all_looked_at(
    library: Library, ada: Viewer, bot: Bot, index: PineconeIndex
) -> None:
    ids = [new_id() for _ in range(2_500)]
    await library.documents.add_text(ada, bot.id, "Clock", "The clock is wound on Mondays.")
    await work(library, index)
    [target] = await sets(library, bot)
    await index.upsert(target, new_id(), 1, [(each, [0.0, 1.0]) for each in ids])

    [orphans] = await found(reconciler(library, index))
    await reconciler(library, index).repair(orphans)

    assert [each.chunk_id for each in orphans.vectors_without_rows] == sorted(ids)
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
        await replace(library, setup=elsewhere(index, Dying())).ingestion()(job)
    await library.lapse()
    await work(library, index)

    assert await found(reconciler(library, index)) == []
