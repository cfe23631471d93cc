"""Following a document to its end, trying a failed one again, and deleting one."""

import asyncio

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentDeletionStatus, DocumentStatus
from kyrochat.documents.kinds import INGEST, PURGE_DOCUMENT
from kyrochat.documents.service import NotFailed
from kyrochat.errors import NotFound
from tests.documents.scene import Library, essay, pieces

RHINE = "The Rhine is 1,233 km long."


async def test_progress_rises_to_the_end_and_ends(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 800))
    seen: list[tuple[DocumentStatus, float]] = []

    async def follow() -> None:
        async for state in library.documents.progress(ada, document.id):
            seen.append((state.status, state.progress))

    async with library.changes.listening(library.database.engine):
        following = asyncio.create_task(follow())
        while not seen:
            await asyncio.sleep(0)
        await library.work()
        await asyncio.wait_for(following, 30)

    assert seen[0] == (DocumentStatus.QUEUED, 0.0)
    assert seen[-1] == (DocumentStatus.READY, 1.0)
    assert {status for status, _ in seen[1:-1]} == {DocumentStatus.PROCESSING}
    assert [progress for _, progress in seen] == sorted({progress for _, progress in seen})
    assert len(seen) >= 4
    # Who comes late is told the end, and that is all.
    assert [state.status async for state in library.documents.progress(ada, document.id)] == [DocumentStatus.READY]


async def test_who_follows_a_document_is_let_go_when_it_is_deleted(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", RHINE)
    seen: list[DocumentStatus] = []

    async def follow() -> None:
        async for state in library.documents.progress(ada, document.id):
            seen.append(state.status)

    async with library.changes.listening(library.database.engine):
        following = asyncio.create_task(follow())
        while not seen:
            await asyncio.sleep(0)
        await library.documents.delete(ada, document.id)
        await asyncio.wait_for(following, 30)

    assert seen == [DocumentStatus.QUEUED]
    assert library.changes._bells == {}


async def test_a_failure_says_why_and_a_retry_starts_anew(library: Library, ada: Viewer, bot: Bot) -> None:
    # NULs enough to be no text, past what an upload looks at.
    document = await library.documents.add_file(
        ada, bot.id, "a.txt", None, pieces(RHINE.encode() * 400, b"\x00\x01" * 2_000)
    )
    await library.work()
    failed = await library.documents.get(ada, document.id)
    assert failed is not None
    assert (failed.status, failed.live_version) == (DocumentStatus.FAILED, None)
    assert failed.failure is not None
    assert "binary" in failed.failure
    assert await library.traces(ada, document.id) == {"documents": 1}
    assert [state.failure async for state in library.documents.progress(ada, document.id)] == [failed.failure]

    async with library.database.begin(ada.workspaces):
        await library.store.put(document.storage_key, pieces(RHINE.encode()), 100)
    retried = await library.documents.retry(ada, document.id)
    assert (retried.status, retried.progress, retried.failure) == (DocumentStatus.QUEUED, 0.0, None)
    with pytest.raises(NotFailed, match="QUEUED"):
        await library.documents.retry(ada, document.id)
    await library.work()

    ready = await library.documents.get(ada, document.id)
    assert ready is not None
    assert (ready.status, ready.failure, ready.chunk_count) == (DocumentStatus.READY, None, 1)
    with pytest.raises(NotFailed, match="READY"):
        await library.documents.retry(ada, document.id)


async def test_ten_retries_at_once_queue_one_job(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", RHINE)
    await library.store.delete(document.storage_key)
    await library.work()
    failed = await library.documents.get(ada, document.id)
    assert failed is not None
    assert failed.failure == "The stored file is missing. Delete the document and add it again."

    ends = await asyncio.gather(*(library.documents.retry(ada, document.id) for _ in range(10)), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["Document"] + ["NotFailed"] * 9
    assert [job.kind for job in await library.jobs()] == [INGEST]


async def test_a_deleted_document_is_gone_for_everybody_from_the_commit_on(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Rivers", RHINE)
    await library.work()

    receipt = await library.documents.delete(ada, document.id)

    assert (receipt.document_id, receipt.status) == (document.id, DocumentDeletionStatus.PENDING)
    assert await library.documents.deletion(ada, document.id) == receipt
    assert await library.search(bot, "Rhine", 5) == []
    assert await library.documents.get(ada, document.id) is None
    assert await library.documents.many(ada, [document.id]) == []
    assert (await library.documents.page(ada, bot.id, PageRequest(10), None)).rows == []
    assert await library.documents.count(ada, bot.id, None) == 0
    for attempt in (
        library.documents.delete(ada, document.id),
        library.documents.retry(ada, document.id),
        anext(library.documents.progress(ada, document.id)),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert [job.kind for job in await library.jobs()] == [PURGE_DOCUMENT]
