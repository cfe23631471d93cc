"""Workers that are killed again and again at any moment, while documents come, change and go."""

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.reconcile import Reconciler
from kyrochat.errors import Conflict, NotFound
from kyrochat.jobs.queue import Queue
from kyrochat.jobs.worker import Worker
from tests.documents.scene import Library, content, essay
from tests.documents.soak_process import LEASE_S
from tests.jobs.scene import until

ROOT = Path(__file__).parents[2]
# The long one: SOAK_KILLS=200.
KILLS = int(os.environ.get("SOAK_KILLS", "60"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
DOCUMENTS = 12


@dataclass
class Shelf:
    """What a client has done so far, and so what must be there in the end."""

    scene: Library
    ada: Viewer
    bot: Bot
    luck: random.Random
    texts: dict[UUID, str] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)
    made: int = 0

    def text(self) -> str:
        """A new text, of one to some hundred chunks; no other document has it."""
        self.made += 1
        return essay(f"River{self.made}", self.luck.choice([1, 4, 40, 700]))

    async def act(self) -> None:
        """Add, replace, delete or retry something."""
        documents = self.scene.documents
        match self.luck.randrange(6):
            case 0 if len(self.texts) > 4:
                document_id = self.luck.choice(sorted(self.texts))
                await documents.delete(self.ada, document_id)
                del self.texts[document_id]
                self.deleted.add(document_id)
            case 1 | 2 if self.texts:
                document_id, text = self.luck.choice(sorted(self.texts)), self.text()
                await documents.replace_text(self.ada, document_id, None, text)
                self.texts[document_id] = text
            case 3:
                for document_id in self.texts:
                    with suppress(Conflict, NotFound):
                        await documents.retry(self.ada, document_id)
            case _ if len(self.texts) < DOCUMENTS:
                text = self.text()
                self.texts[(await documents.add_text(self.ada, self.bot.id, "Essay", text)).id] = text


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_nothing_sticks_doubles_or_comes_back_however_often_workers_are_killed(
    library: Library, urls: DatabaseUrls, ada: Viewer, bot: Bot
) -> None:
    luck = random.Random(SEED)
    shelf = Shelf(library, ada, bot, luck)
    options = json.dumps({"url": urls.worker, "files": str(library.directory)})
    forge = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.documents.soak_process", options, stdin=PIPE, stdout=PIPE, cwd=ROOT
    )
    assert forge.stdin is not None
    assert forge.stdout is not None
    stages: Counter[str] = Counter()
    try:
        for _ in range(KILLS):
            await shelf.act()
            await shelf.act()
            forge.stdin.write(b"work\n")
            worker = int(await forge.stdout.readline())
            await asyncio.sleep(luck.uniform(0.02, 0.8))
            rows = await library.run("SELECT status || ' ' || stage FROM documents", *ada.workspaces)
            stages.update(state for (state,) in rows)
            os.kill(worker, signal.SIGKILL)
    finally:
        forge.kill()
        await forge.wait()

    queue = Queue(library.worker_database, lease_s=LEASE_S, per_workspace=4, backoff_s=0.05)
    final = Worker(queue, library.changes, library.kinds, concurrency=3)
    working = asyncio.create_task(final.run())

    async def terminal() -> bool:
        rows = await library.run("SELECT status FROM documents WHERE deleted_at IS NULL", *ada.workspaces)
        return {status for (status,) in rows} <= {"READY", "FAILED"}

    # By themselves: two leases, and ten seconds.
    await until(terminal, timeout_s=2 * LEASE_S + 10 + len(shelf.texts))
    # Whoever was killed under five workers has failed, says so, and can be retried.
    for document_id in shelf.texts:
        row = await library.row(ada, document_id)
        assert row is not None
        if row.status is DocumentStatus.FAILED:
            assert row.failure
            await library.documents.retry(ada, document_id)

    async def at_rest() -> bool:
        return not await library.run("SELECT 1 FROM jobs WHERE state <> 'FAILED'") and await terminal()

    await until(at_rest, timeout_s=60)
    await final.stop()
    await working

    for document_id, text in shelf.texts.items():
        row = await library.row(ada, document_id)
        assert row is not None
        assert (row.status, row.live_version) == (DocumentStatus.READY, row.version), row.failure
        chunks = await library.chunks(ada, document_id)
        body = (await library.versions(ada, document_id))[row.version]
        assert body == text
        assert {chunk.version for chunk in chunks} == {row.version}
        assert [chunk.ordinal for chunk in chunks] == list(range(row.chunk_count))
        assert [body[chunk.start : chunk.end] for chunk in chunks] == [chunk.text for chunk in chunks]
        assert len(set(content(chunks))) == len(chunks)
    for document_id in shelf.deleted:
        assert await library.traces(ada, document_id) == {}
        receipt = await library.documents.deletion(ada, document_id)
        assert receipt is not None
        assert receipt.verified_at is not None
    reconciler = Reconciler(library.database, library.store, young=timedelta(0))
    assert [orphans async for orphans in reconciler.find()] == []
    # It did happen in the middle of things.
    assert stages["PROCESSING INDEXING"] > KILLS // 10
    assert stages["PROCESSING READING"] > 0
