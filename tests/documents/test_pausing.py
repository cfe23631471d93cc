"""Ingestion that is held back and goes on, what its followers see, and what a workspace may hold."""

import asyncio
from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStage, DocumentStatus, WorkspaceRole
from kyrochat.documents.intake import Quota
from kyrochat.documents.kinds import INGEST
from kyrochat.documents.service import DocumentService
from kyrochat.errors import Forbidden, NotFound, QuotaExceeded
from kyrochat.jobs.queue import Queue
from tests.documents.scene import GatedExtractor, Library, pieces
from tests.factories import make_viewer

CLOCK = "The tower clock is wound on Mondays."


async def test_what_comes_in_while_a_bot_is_paused_waits_without_an_attempt_and_is_read_when_it_goes_on(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    paused = await library.documents.pause(ada, bot.id)
    document = await library.documents.add_text(ada, bot.id, "Clock", CLOCK)

    await library.work()

    row, [job] = await library.row(ada, document.id), await library.jobs()
    assert paused.ingestion_paused
    assert row is not None
    assert (row.status, row.stage, row.attempts, job.attempts) == (DocumentStatus.QUEUED, DocumentStage.WAITING, 0, 0)
    assert (await library.documents.ingestion(ada, bot.id)).is_idle
    resumed = await library.documents.resume(ada, bot.id)
    assert not resumed.ingestion_paused
    await library.work()
    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.attempts) == (DocumentStatus.READY, 1)
    assert await library.jobs() == []


async def test_a_pause_stops_an_ingestion_at_its_next_step_and_leaves_nothing_of_it(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", CLOCK)
    [job] = await library.claim(INGEST)
    extractor = GatedExtractor()
    reading = asyncio.create_task(library.ingestion(extractor)(job))
    await extractor.reached.wait()

    await library.documents.pause(ada, bot.id)
    extractor.gate.set()
    await reading
    await library.end(job)

    assert await library.traces(ada, document.id) == {"documents": 1}
    assert await library.claim(INGEST) == []
    await library.documents.resume(ada, bot.id)
    await library.work()
    assert len(await library.search(bot, "tower clock", 5)) == 1


async def test_a_pause_of_one_bot_holds_up_no_other_and_only_those_who_may_edit_can_pause(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    other = await library.bots.create(ada, None, {"name": "Other"})
    await library.documents.pause(ada, bot.id)
    document = await library.documents.add_text(ada, other.id, "Clock", CLOCK)
    await library.work()
    guest = replace(await make_viewer(library.database, "guest@example.com"))
    viewer = replace(ada, workspaces={bot.workspace_id: WorkspaceRole.VIEWER})

    row = await library.row(ada, document.id)
    assert row is not None
    assert row.status is DocumentStatus.READY
    for change in (library.documents.pause, library.documents.resume):
        with pytest.raises(NotFound):
            await change(guest, bot.id)
        with pytest.raises(Forbidden):
            await change(viewer, bot.id)
    assert (await library.documents.ingestion(ada, bot.id)).is_paused


async def test_a_failure_that_may_pass_says_why_and_when_it_is_tried_again(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", CLOCK)
    [job] = await library.claim(INGEST)
    kind = library.kinds[INGEST]

    await Queue(library.worker_database).fail(job, "Gemini is busy.", 30.0, kind.on_failed, kind.on_retry)

    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.stage, row.attempts) == (DocumentStatus.QUEUED, DocumentStage.WAITING, 1)
    assert row.failure == "Gemini is busy. It is tried again by itself."
    assert row.next_attempt_at is not None
    assert 20 < (row.next_attempt_at - row.updated_at).total_seconds() < 40
    await library.run("UPDATE jobs SET run_at = now()")
    await library.work()
    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.attempts, row.failure, row.next_attempt_at) == (DocumentStatus.READY, 2, None, None)


async def test_a_bots_followers_see_it_from_the_first_document_to_idleness(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    await library.documents.add_text(ada, bot.id, "Clock", CLOCK)
    await library.documents.add_file(ada, bot.id, "x.html", None, pieces(b"<html><script>1</script></html>"))
    states = library.documents.ingestion_progress(ada, bot.id, until_idle=True)
    first = await anext(states)

    working = asyncio.create_task(library.work())
    rest = [state async for state in states]
    await working

    assert first.counts == {DocumentStatus.QUEUED: 2}
    assert rest[-1].counts == {DocumentStatus.READY: 1, DocumentStatus.FAILED: 1}
    assert rest[-1].is_idle
    assert not any(state.is_idle for state in [first, *rest[:-1]])
    named = {document.title for state in rest for document in state.processing}
    assert named <= {"Clock", "x.html"}


async def test_a_full_workspace_takes_nothing_more_and_keeps_no_file_of_what_it_refused(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    quota = Quota(max_bytes=100, max_documents=2)
    documents = DocumentService(library.database, library.changes, library.store, 1_000, quota)
    clock = await documents.add_text(ada, bot.id, "Clock", CLOCK)
    bell = await documents.add_text(ada, bot.id, "Bell", "The bell rings.")
    before = library.files()

    with pytest.raises(QuotaExceeded, match="2 documents"):
        await documents.add_text(ada, bot.id, "Third", "A third one.")
    await documents.delete(ada, bell.id)
    with pytest.raises(QuotaExceeded, match="MiB"):
        await documents.add_text(ada, bot.id, "Long", "x" * 100)
    with pytest.raises(QuotaExceeded, match="MiB"):
        await documents.replace_text(ada, clock.id, None, "y" * 101)

    assert library.files() == before
    row = await library.row(ada, clock.id)
    assert row is not None
    assert (row.version, row.byte_size) == (1, len(CLOCK))
    await documents.replace_text(ada, clock.id, None, "y" * 100)


async def test_of_ten_uploads_at_once_only_as_many_come_in_as_there_is_room_for(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    documents = DocumentService(library.database, library.changes, library.store, 1_000, Quota(max_documents=3))

    results = await asyncio.gather(
        *(documents.add_text(ada, bot.id, f"Note {turn}", f"Note number {turn}.") for turn in range(10)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, QuotaExceeded) for result in results) == 7
    assert len(library.files()) == 3
    assert (await library.traces(ada))["documents"] == 3
