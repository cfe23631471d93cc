"""A deleted workspace: no rows, no files, no vectors, however often its purge was cut off, and nobody else's gone."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.viewer import Viewer
from kyrochat.accounts.workspaces import PURGE_WORKSPACE, WorkspaceService
from kyrochat.db.changes import answer_topic, ended_topic
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import AnswerLease, ApiKey, ApiKeyUsage, Bot, Conversation, Document, Message, VectorSet
from kyrochat.db.states import MessageRole, MessageStatus, WorkspaceRole
from kyrochat.documents.ingest import Ingestion
from kyrochat.documents.kinds import INGEST
from kyrochat.documents.purge import BATCH_DOCUMENTS, StillThere
from kyrochat.documents.workspace_purge import WorkspacePurge
from kyrochat.errors import NotFound
from kyrochat.jobs.queue import ClaimedJob, RetryLater
from kyrochat.retrieval.ports import Vector
from tests.cutting import Cut, CutDatabase
from tests.documents.scene import GatedExtractor, Library, pieces
from tests.remains import remains
from tests.retrieval.dense.scene import elsewhere


@dataclass
class Shelf:
    """An index in memory that knows whose its vectors are."""

    held: dict[UUID, set[UUID]] = field(default_factory=dict)

    async def upsert(
        self, target: VectorSet, document_id: UUID, version: int, vectors: Sequence[tuple[UUID, Vector]]
    ) -> None:
        self.held.setdefault(target.workspace_id, set()).update(chunk_id for chunk_id, _ in vectors)

    async def search(
        self, target: VectorSet, query: Vector, limit: int, documents: Sequence[UUID] | None = None
    ) -> Sequence[tuple[UUID, float]]:
        return []

    async def delete_document(self, workspace_id: UUID, document_id: UUID, *, keep_version: int | None = None) -> int:
        return 0

    async def settle(self, target: VectorSet) -> bool:
        return True

    async def delete_set(self, target: VectorSet) -> int:
        return 0

    async def delete_workspace(self, workspace_id: UUID) -> int:
        return len(self.held.pop(workspace_id, set()))


@dataclass(frozen=True)
class Estate:
    """A workspace with a row in every table that can have one, and one of the same owner that shall stay."""

    scene: Library
    owner: Viewer
    doomed: UUID
    bot: Bot
    shelf: Shelf

    @property
    def purge(self) -> WorkspacePurge:
        database = self.scene.worker_database
        stores = self.scene.setup.stores(database)
        return WorkspacePurge(database, self.scene.changes, self.scene.store, stores)

    def ingestion(self, extractor: Any = None) -> Ingestion:
        return self.scene.ingestion(extractor)

    async def ingest(self, *, extractor: Any = None) -> None:
        for job in await self.scene.claim(INGEST):
            await self.ingestion(extractor)(job)

    async def delete(self) -> ClaimedJob:
        await WorkspaceService(self.scene.database, self.scene.changes).delete(self.owner, self.doomed)
        [job] = await self.scene.claim(PURGE_WORKSPACE)
        return job


@pytest.fixture
async def estate(library: Library, ada: Viewer) -> Estate:
    doomed = (await WorkspaceService(library.database, library.changes).create(ada, "Doomed")).id
    owner = replace(ada, workspaces={**ada.workspaces, doomed: WorkspaceRole.OWNER})
    bot = await library.bots.create(owner, doomed, {"name": "Librarian"})
    shelf = Shelf()
    library = replace(library, setup=elsewhere(shelf))
    estate = Estate(library, owner, doomed, bot, shelf)
    kept = await library.bots.create(ada, None, {"name": "Librarian"})
    for number in range(BATCH_DOCUMENTS + 2):
        await library.documents.add_text(owner, bot.id, f"T{number}", f"Text {number}.")
    await library.documents.add_text(ada, kept.id, "Kept", "The Elbe is 1,094 km long.")
    deleted = await library.documents.add_text(owner, bot.id, "Gone", "The Rhine is long.")
    await estate.ingest()
    await library.documents.delete(owner, deleted.id)
    await library.work()
    async with library.database.begin([doomed]) as session:
        await fill(session, estate)
    return estate


async def fill(session: AsyncSession, estate: Estate) -> None:
    """A conversation whose answer is being written, an API key that has been used, an entry of the log."""
    ids: dict[str, Any] = {"workspace_id": estate.doomed}
    conversation = Conversation(**ids, bot_id=estate.bot.id, user_id=estate.owner.user_id, title="Rivers")
    api_key = ApiKey(**ids, created_by=estate.owner.user_id, secret_hash=new_id().bytes, scopes=["CHAT"])
    session.add_all([conversation, api_key])
    await session.flush()
    answer = Message(
        **ids,
        conversation_id=conversation.id,
        position=1,
        role=MessageRole.ASSISTANT,
        status=MessageStatus.STREAMING,
        api_key_id=api_key.id,
    )
    session.add_all([answer, ApiKeyUsage(**ids, api_key_id=api_key.id, day=api_key.created_at.date(), tokens=7)])
    await session.flush()
    session.add(AnswerLease(**ids, message_id=answer.id, token=new_id(), leased_until=api_key.created_at))
    record(session, AuditAct.API_KEY_CREATED, estate.owner, workspace_id=estate.doomed, of=("ApiKey", api_key.id))


async def test_nothing_is_left_of_it_and_all_of_the_other_one(estate: Estate, urls: DatabaseUrls) -> None:
    library, home = estate.scene, estate.owner.default_workspace_id
    kept_rows = await remains(urls.owner, home)
    kept_files = [key for key in library.files() if key.startswith(str(home))]
    before = await remains(urls.owner, estate.doomed)
    assert before.keys() >= {"bots", "documents", "chunks", "chunk_lex", "document_versions", "document_deletions"}
    assert before.keys() >= {"conversations", "messages", "answer_leases", "api_keys", "api_key_usage", "audit_entries"}
    assert len(estate.shelf.held[estate.doomed]) > BATCH_DOCUMENTS

    job = await estate.delete()
    await estate.purge(job)
    await library.end(job)

    # The site's own log remembers that there was one.
    assert await remains(urls.owner, estate.doomed) == {"audit_entries": 1}
    assert await remains(urls.owner, home) == kept_rows
    assert library.files() == kept_files
    assert len(kept_files) == 1
    assert estate.shelf.held.keys() == {home}
    assert await library.jobs() == []


async def test_a_purge_that_is_cut_off_at_any_step_is_taken_up_again(estate: Estate, urls: DatabaseUrls) -> None:
    library, steps = estate.scene, 0
    job = await estate.delete()

    while True:
        database = CutDatabase.after(steps, library.worker_database)
        try:
            await replace(estate.purge, database=database)(job)
            break
        except Cut:
            steps += 1

    assert steps >= 6
    await library.end(job)
    assert await remains(urls.owner, estate.doomed) == {"audit_entries": 1}
    assert [key for key in library.files() if key.startswith(str(estate.doomed))] == []
    assert estate.doomed not in estate.shelf.held


async def test_it_waits_for_an_ingestion_that_is_under_way(estate: Estate, urls: DatabaseUrls) -> None:
    library = estate.scene
    extractor = GatedExtractor()
    await library.documents.add_text(estate.owner, estate.bot.id, "Late", "The Oder is 866 km long.")
    queued = await library.documents.add_text(estate.owner, estate.bot.id, "Later", "The Weser is 451 km long.")
    await library.run(
        f"UPDATE jobs SET run_at = now() + interval '1 hour' WHERE payload->>'document_id' = '{queued.id}'"
    )
    [running] = await library.claim(INGEST)
    ingesting = asyncio.create_task(estate.ingestion(extractor)(running))
    await extractor.reached.wait()
    job = await estate.delete()

    with pytest.raises(RetryLater):
        await estate.purge(job)

    # What has not begun never begins.
    assert {each.id for each in await library.jobs()} == {running.id, job.id}
    extractor.gate.set()
    await ingesting
    await library.end(running)
    await estate.purge(job)
    assert await remains(urls.owner, estate.doomed) == {"audit_entries": 1, "jobs": 1}
    assert [key for key in library.files() if key.startswith(str(estate.doomed))] == []


async def test_an_ingestion_whose_lease_is_over_is_not_waited_for(estate: Estate, urls: DatabaseUrls) -> None:
    library = estate.scene
    await library.documents.add_text(estate.owner, estate.bot.id, "Late", "The Oder is 866 km long.")
    await library.claim(INGEST)
    await library.run("UPDATE jobs SET leased_until = now() - interval '1 second'")

    job = await estate.delete()
    await estate.purge(job)

    assert [each.id for each in await library.jobs()] == [job.id]
    assert await remains(urls.owner, estate.doomed) == {"audit_entries": 1, "jobs": 1}


async def test_who_came_in_before_adds_nothing_that_stays(estate: Estate, urls: DatabaseUrls) -> None:
    """An upload and a new bot by somebody whose operation began before the workspace was shut."""
    library = estate.scene
    job = await estate.delete()
    late = await library.bots.create(estate.owner, estate.doomed, {"name": "Late"})

    class Meanwhile(Shelf):
        async def delete_workspace(self, workspace_id: UUID) -> int:
            await library.bots.create(estate.owner, workspace_id, {"name": "Meanwhile"})
            return 0

    with pytest.raises(RetryLater, match="made in the workspace meanwhile"):
        await replace(estate.purge, vectors=Meanwhile())(job)
    with pytest.raises(NotFound):
        await library.documents.add_text(estate.owner, late.id, "Late", "The Oder is 866 km long.")
    await estate.purge(job)

    with pytest.raises(NotFound, match="no such workspace"):
        await library.bots.create(estate.owner, estate.doomed, {"name": "Too late"})
    assert await remains(urls.owner, estate.doomed) == {"audit_entries": 1, "jobs": 1}
    assert [key for key in library.files() if key.startswith(str(estate.doomed))] == []


async def test_it_is_not_over_while_a_file_can_be_found(estate: Estate) -> None:
    library = estate.scene
    job = await estate.delete()
    key = f"{estate.doomed}/{new_id()}/1"

    class Returning(Shelf):
        async def delete_workspace(self, workspace_id: UUID) -> int:
            await library.store.put(key, pieces(b"boo"), 100)
            return 0

    with pytest.raises(StillThere):
        await replace(estate.purge, vectors=Returning())(job)

    await estate.purge(job)
    assert [each for each in library.files() if each.startswith(str(estate.doomed))] == []


async def test_answers_that_are_being_written_end(estate: Estate) -> None:
    library = estate.scene
    [(answer_id,)] = await library.run("SELECT message_id FROM answer_leases")
    job = await estate.delete()

    with suppress(RetryLater):
        async with library.changes.listening(library.database.engine):
            with (
                library.changes.watch(answer_topic(answer_id)) as readers,
                library.changes.watch(ended_topic(answer_id)) as writer,
            ):
                await estate.purge(job)
                assert await readers.wait(10)
                assert await writer.wait(10)

    assert await library.run("SELECT message_id FROM answer_leases") == []


async def test_documents_of_others_are_not_even_looked_at(estate: Estate, bob: Viewer, urls: DatabaseUrls) -> None:
    library = estate.scene
    his = await library.bots.create(bob, None, {"name": "His"})
    document = await library.documents.add_text(bob, his.id, "Rivers", "The Rhine is long.")
    await estate.ingest()
    rows = await remains(urls.owner, bob.default_workspace_id)
    job = await estate.delete()

    await estate.purge(job)

    assert await remains(urls.owner, bob.default_workspace_id) == rows
    assert document.storage_key in library.files()
    async with library.database.begin(bob.workspaces) as session:
        assert await session.get(Document, document.id) is not None
