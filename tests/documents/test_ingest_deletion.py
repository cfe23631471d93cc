"""Documents that are deleted while they are ingested stay deleted, with all that was written for them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.models import Bot, Document, VectorSet
from kyrochat.db.states import DocumentDeletionStatus, DocumentStatus
from kyrochat.documents.kinds import INGEST, PURGE_DOCUMENT
from kyrochat.documents.purge import DocumentPurge
from kyrochat.jobs.queue import LeaseLost
from kyrochat.retrieval.ports import Vector
from tests.documents.scene import GatedExtractor, Library, essay
from tests.retrieval.dense.scene import elsewhere

# Two batches of chunks, so an ingestion has these steps: extracting, chunked, first batch, second batch, live.
TWO_BATCHES = essay("Rhine", 640)
STEPS = 5


@dataclass(slots=True, eq=False)
class DeleteAfterStep(Changes):
    """Doorbells that let somebody delete the document right after the n-th step: he waits for its lock already."""

    step: int = 0
    scene: Library | None = None
    viewer: Viewer | None = None
    document: Document | None = None
    rung: int = 0
    deleting: list[asyncio.Task[object]] = field(default_factory=list)

    async def announce(self, session: AsyncSession, topics: Iterable[str]) -> None:
        assert self.scene is not None
        assert self.viewer is not None
        assert self.document is not None
        await Changes.announce(self, session, topics)
        self.rung += 1
        if self.rung != self.step:
            return
        delete = self.scene.documents.delete(self.viewer, self.document.id)
        self.deleting.append(asyncio.create_task(delete))
        while not await self.scene.run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            await asyncio.sleep(0.001)


async def test_a_document_that_is_deleted_in_any_step_of_its_ingestion_stays_deleted(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    for step in range(STEPS + 1):
        document = await library.documents.add_text(ada, bot.id, "Essay", TWO_BATCHES)
        changes = DeleteAfterStep(step=step, scene=library, viewer=ada, document=document)
        [job] = await library.claim(INGEST)
        if step == 0:
            await library.documents.delete(ada, document.id)
        await library.ingestion(changes=changes)(job)
        await asyncio.gather(*changes.deleting)

        assert changes.rung == step
        row = await library.row(ada, document.id)
        assert row is not None
        assert (row.status, row.live_version) == (DocumentStatus.DELETING, 1 if step == STEPS else None)
        assert await library.search(bot, "Rhine", 5) == []
        written = (await library.traces(ada, document.id)).get("chunks", 0)
        await library.end(job)
        await library.work()
        receipt = await library.documents.deletion(ada, document.id)
        assert receipt is not None
        assert (receipt.status, receipt.chunks_deleted) == (DocumentDeletionStatus.VERIFIED, written)
        assert (written > 0) == (step >= 3)
        assert await library.traces(ada, document.id) == {}
        assert library.files() == []


async def test_a_document_that_is_purged_while_it_is_read_leaves_nothing(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine is 1,233 km long.")
    extractor = GatedExtractor()
    [job] = await library.claim(INGEST)
    ingesting = asyncio.create_task(library.ingestion(extractor)(job))
    await extractor.reached.wait()

    await library.documents.delete(ada, document.id)
    for purge in await library.claim(PURGE_DOCUMENT):
        await library.kinds[PURGE_DOCUMENT].handler(purge)
    extractor.gate.set()
    await ingesting

    assert await library.traces(ada) == {}
    assert library.files() == []


async def test_a_bot_that_is_deleted_and_purged_while_its_document_is_read_leaves_nothing(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine is 1,233 km long.")
    extractor = GatedExtractor()
    [job] = await library.claim(INGEST)
    ingesting = asyncio.create_task(library.ingestion(extractor)(job))
    await extractor.reached.wait()

    await library.bots.delete(ada, bot.id)
    await library.work()
    extractor.gate.set()
    await ingesting

    assert await library.traces(ada) == {}
    assert await library.run("SELECT id FROM bots", *ada.workspaces) == []
    assert library.files() == []


@dataclass
class SlowIndex:
    """An index of vectors in memory that stores what it is given when the gate opens, as a distant one may."""

    held: dict[UUID, set[UUID]] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def upsert(
        self, target: VectorSet, document_id: UUID, version: int, vectors: Sequence[tuple[UUID, Vector]]
    ) -> None:
        self.reached.set()
        await self.gate.wait()
        self.held.setdefault(document_id, set()).update(chunk_id for chunk_id, _ in vectors)

    async def search(
        self, target: VectorSet, query: Vector, limit: int, documents: Sequence[UUID] | None = None
    ) -> Sequence[tuple[UUID, float]]:
        return []

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        return len(self.held.pop(document_id, set()))

    async def settle(self, target: VectorSet) -> bool:
        return True

    async def delete_set(self, target: VectorSet) -> int:
        return await self.delete_workspace(target.workspace_id)

    async def delete_workspace(self, workspace_id: UUID) -> int:
        return sum([await self.delete_document(workspace_id, document_id) for document_id in list(self.held)])


@pytest.mark.parametrize("is_zombie", [False, True])
async def test_vectors_that_arrive_after_the_purge_are_deleted_too(
    library: Library, ada: Viewer, bot: Bot, is_zombie: bool
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine is 1,233 km long.")
    index = SlowIndex()
    library = replace(library, setup=elsewhere(index))
    ingestion = library.ingestion()
    [job] = await library.claim(INGEST)
    ingesting = asyncio.create_task(ingestion(job))
    await index.reached.wait()
    await library.documents.delete(ada, document.id)
    for purge in await library.claim(PURGE_DOCUMENT):
        await DocumentPurge(
            library.worker_database, library.changes, library.store, library.setup.stores(library.worker_database)
        )(purge)
    if is_zombie:
        await library.lapse()
        await library.work()

    index.gate.set()
    [end] = await asyncio.gather(ingesting, return_exceptions=True)

    assert isinstance(end, LeaseLost) is is_zombie
    assert index.held == {}
    assert await library.traces(ada) == {}


async def test_an_ingestion_that_ends_well_keeps_its_vectors(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", essay("Rhine", 20))
    index = SlowIndex()
    index.gate.set()
    [job] = await library.claim(INGEST)

    await replace(library, setup=elsewhere(index)).ingestion()(job)

    chunks = await library.chunks(ada, document.id)
    assert len(chunks) > 1
    assert index.held == {document.id: {chunk.id for chunk in chunks}}
