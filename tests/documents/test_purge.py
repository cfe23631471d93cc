"""Purges: verified, repeatable, and written down in a receipt that outlives the document."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentDeletionStatus
from kyrochat.documents.kinds import PURGE_DOCUMENT
from kyrochat.documents.purge import BATCH_DOCUMENTS, DocumentPurge, StillThere
from kyrochat.documents.storage import FileStore, Stored
from kyrochat.jobs.queue import LeaseLost
from tests.documents.scene import Library, essay, pieces


async def test_the_receipt_says_when_and_how_much_and_everything_is_gone(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 20))
    kept = await library.documents.add_text(ada, bot.id, "Kept", essay("Elbe", 20))
    await library.work()
    chunks = len(await library.chunks(ada, document.id))
    requested = await library.documents.delete(ada, document.id)

    await library.work()

    receipt = await library.documents.deletion(ada, document.id)
    assert receipt is not None
    assert receipt.status is DocumentDeletionStatus.VERIFIED
    assert (receipt.chunks_deleted, receipt.vectors_deleted) == (chunks, chunks)
    assert receipt.requested_at == requested.requested_at
    assert receipt.verified_at is not None
    assert receipt.verified_at > receipt.requested_at
    assert await library.traces(ada, document.id) == {}
    assert library.files() == [kept.storage_key]
    assert {passage.document_id for passage in await library.search(bot, "Rhine Elbe", 50)} == {kept.id}
    assert await library.jobs() == []


async def test_a_purge_that_is_cut_off_is_taken_up_again(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 20))
    await library.work()
    await library.documents.delete(ada, document.id)
    for _ in range(2):
        # After the files are gone, before the rows are.
        [job] = await library.claim(PURGE_DOCUMENT)
        await library.store.delete_prefix(f"{job.workspace_id}/{document.id}/")
        await library.lapse()

    await library.work()

    receipt = await library.documents.deletion(ada, document.id)
    assert receipt is not None
    assert receipt.status is DocumentDeletionStatus.VERIFIED
    assert await library.traces(ada) == {}
    assert library.files() == []


async def test_a_purge_that_was_taken_over_verifies_nothing(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine is long.")
    await library.work()
    await library.documents.delete(ada, document.id)
    [zombie] = await library.claim(PURGE_DOCUMENT)
    await library.lapse()

    with pytest.raises(LeaseLost):
        await library.kinds[PURGE_DOCUMENT].handler(zombie)

    receipt = await library.documents.deletion(ada, document.id)
    assert receipt is not None
    assert (receipt.status, receipt.verified_at) == (DocumentDeletionStatus.PENDING, None)
    assert (await library.traces(ada, document.id))["chunks"] == 1
    await library.work()
    assert await library.traces(ada) == {}


class Haunted(FileStore):
    """A store in which a file comes back once: a write that was under way during the deletion."""

    returns = True

    async def delete_prefix(self, prefix: str) -> int:
        deleted = await FileStore.delete_prefix(self, prefix)
        if Haunted.returns:
            Haunted.returns = False
            await self.come_back(f"{prefix}1", pieces(b"boo"))
        return deleted

    async def come_back(self, key: str, content: AsyncIterator[bytes]) -> Stored:
        return await self.put(key, content, 100)


async def test_nothing_is_verified_while_something_can_still_be_found(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", "The Rhine is long.")
    await library.work()
    await library.documents.delete(ada, document.id)
    purge = DocumentPurge(library.worker_database, library.changes, Haunted(library.store.store))
    [job] = await library.claim(PURGE_DOCUMENT)

    with pytest.raises(StillThere):
        await purge(job)

    receipt = await library.documents.deletion(ada, document.id)
    assert receipt is not None
    assert (receipt.status, receipt.chunks_deleted) == (DocumentDeletionStatus.PENDING, 0)
    await purge(job)
    receipt = await library.documents.deletion(ada, document.id)
    assert receipt is not None
    assert (receipt.status, receipt.chunks_deleted) == (DocumentDeletionStatus.VERIFIED, 1)
    assert library.files() == []


async def test_a_bot_with_more_documents_than_a_batch_is_purged_with_all_files_and_nobody_elses(
    library: Library, ada: Viewer, bob: Viewer, bot: Bot
) -> None:
    others = await library.bots.create(bob, None, {"name": "Other"})
    his = await library.documents.add_text(bob, others.id, "Rivers", "The Rhine is long.")
    for start in range(0, BATCH_DOCUMENTS + 5, 11):
        await asyncio.gather(
            *(library.documents.add_text(ada, bot.id, f"T{n}", f"Text {n}.") for n in range(start, start + 11))
        )
    assert len(library.files()) > BATCH_DOCUMENTS
    await library.bots.delete(ada, bot.id)

    await library.work()

    assert await library.traces(ada) == {}
    assert await library.run("SELECT id FROM bots", *ada.workspaces) == []
    assert await library.run("SELECT bot_id FROM bot_lexicons", *ada.workspaces) == []
    assert library.files() == [his.storage_key]
    assert await library.traces(bob) == {"documents": 1, "document_versions": 1, "chunks": 1, "chunk_lex": 1}
    assert await library.jobs() == []
