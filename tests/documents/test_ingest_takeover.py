"""Ingestions whose workers are killed or fall asleep: one result, that of a clean run."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import document_topic
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.kinds import INGEST
from kyrochat.jobs.queue import LeaseLost, Queue
from kyrochat.jobs.worker import Worker
from tests.documents.scene import GatedExtractor, Library, content, essay
from tests.jobs.scene import until

ROOT = Path(__file__).parents[2]
# Two batches of chunks, so an ingestion has these steps: extracting, chunked, first batch, second batch, live.
TWO_BATCHES = essay("Rhine", 640)
STEPS = 5


async def clean_run(library: Library, ada: Viewer, body: str) -> list[tuple[int, int, int, str, str | None]]:
    """What an ingestion without accidents makes of a text."""
    other = await library.bots.create(ada, None, {"name": "Clean run"})
    document = await library.documents.add_text(ada, other.id, "Essay", body)
    await library.work()
    return content(await library.chunks(ada, document.id))


async def test_a_worker_that_is_killed_in_any_step_is_replaced_and_the_result_is_that_of_a_clean_run(
    library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot, tmp_path: Path
) -> None:
    expected = await clean_run(library, ada, TWO_BATCHES)
    assert len(expected) > 300
    documents = {}
    for step in range(1, STEPS + 1):
        # The number stands behind all chunks but the last, so those are alike.
        document = await library.documents.add_text(ada, bot.id, "Essay", f"{TWO_BATCHES}{' ' * step}\n.")
        documents[step] = document.id
    log = tmp_path / "log"
    steps = {document_topic(document_id): step for step, document_id in documents.items()}
    options = {"url": urls.worker, "files": str(library.directory), "log": str(log), "steps": steps}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.documents.ingest_process", json.dumps(options), cwd=ROOT
    )
    try:
        await until(lambda: log.exists() and len(log.read_text().splitlines()) == STEPS)
        in_between = [await library.row(ada, document_id) for document_id in documents.values()]
        assert [row.live_version for row in in_between if row] == [None] * STEPS
        assert await library.search(bot, "Rhine", 5) == []
    finally:
        process.kill()
        await process.wait()

    async def all_done() -> bool:
        return not await library.jobs()

    queue = Queue(library.worker_database, per_workspace=2, backoff_s=0)
    attempts = {}

    async def noting_attempts() -> bool:
        jobs = await library.jobs()
        attempts.update({job.payload["document_id"]: job.attempts for job in jobs if job.kind == INGEST})
        return await all_done()

    worker = Worker(queue, library.changes, library.kinds, concurrency=2)
    running = asyncio.create_task(worker.run())
    await until(noting_attempts, timeout_s=60)
    await worker.stop()
    await running

    assert attempts == {str(document_id): 2 for document_id in documents.values()}
    for document_id in documents.values():
        row = await library.row(ada, document_id)
        chunks = content(await library.chunks(ada, document_id))
        assert row is not None
        assert (row.status, row.live_version, row.chunk_count) == (DocumentStatus.READY, 1, len(chunks))
        assert len(chunks) == len(expected)
        assert chunks[:-1] == expected[:-1]
        assert await library.traces(ada, document_id) == {
            "documents": 1,
            "document_versions": 1,
            "chunks": len(chunks),
            "chunk_lex": len(chunks),
        }


async def test_a_zombie_that_wakes_after_or_while_another_worked_changes_nothing(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 20))
    zombies = []
    for _ in range(2):
        extractor = GatedExtractor()
        [job] = await library.claim(INGEST)
        zombies.append((extractor, asyncio.create_task(library.ingestion(extractor)(job))))
        await extractor.reached.wait()
        await library.lapse()
    (first, first_task), (second, second_task) = zombies

    # The first wakes when the third has begun, the second when all is done.
    third = GatedExtractor()
    [job] = await library.claim(INGEST)
    third_task = asyncio.create_task(library.ingestion(third)(job))
    await third.reached.wait()
    first.gate.set()
    with pytest.raises(LeaseLost):
        await first_task
    assert await library.traces(ada, document.id) == {"documents": 1}
    third.gate.set()
    await third_task
    chunks = await library.chunks(ada, document.id)
    before = (await library.row(ada, document.id), chunks, await library.traces(ada, document.id))
    second.gate.set()
    with pytest.raises(LeaseLost):
        await second_task

    row = await library.row(ada, document.id)
    assert (row, await library.chunks(ada, document.id), await library.traces(ada, document.id)) == before
    assert row is not None
    assert (row.status, row.chunk_count) == (DocumentStatus.READY, len(chunks))
    assert await library.jobs() == []
