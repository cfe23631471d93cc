"""A library for the tests of documents: the real services over one database and one directory, worked by hand."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import select

from kyrochat.accounts.viewer import Viewer
from kyrochat.bots.service import PURGE_BOT, BotService
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Chunk, Document, DocumentVersion, Job
from kyrochat.documents.extraction import Extracted, Extractor
from kyrochat.documents.ingest import Ingestion
from kyrochat.documents.kinds import INGEST, PURGE_DOCUMENT, SWEEP_VERSIONS
from kyrochat.documents.retitling import RETITLE
from kyrochat.documents.service import DocumentService
from kyrochat.documents.storage import FileStore
from kyrochat.jobs.queue import ClaimedJob, LeaseLost, Queue, complete
from kyrochat.jobs.worker import Kind
from kyrochat.retrieval.dense_setup import NO_DENSE, DenseSetup
from kyrochat.retrieval.types import Passage
from kyrochat.working import job_kinds
from tests.searching import search

KINDS = (INGEST, PURGE_DOCUMENT, SWEEP_VERSIONS, PURGE_BOT, RETITLE)
MAX_UPLOAD_BYTES = 2_000_000
PINECONE_NAME = "kyrochat"


async def pieces(*parts: bytes) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part


def essay(topic: str, paragraphs: int) -> str:
    """A text of many chunks, no two alike; a paragraph is about half a chunk."""
    return "\n\n".join(
        f"{topic} {number}. " + " ".join(f"{topic}{number}x{word} flows" for word in range(25))
        for number in range(paragraphs)
    )


@dataclass(frozen=True)
class GatedExtractor(Extractor):
    """Gives the text when the gate opens: a file that takes its time to read."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def extract(self, data: bytes | Path, media_type: str) -> Extracted:
        extracted = await Extractor.extract(self, data, media_type)
        self.reached.set()
        await self.gate.wait()
        return extracted


@dataclass(frozen=True)
class Library:
    """Everything below the API that documents need, and a worker that works when it is told to."""

    database: Database
    worker_database: Database
    changes: Changes
    store: FileStore
    directory: Path
    setup: DenseSetup = field(default=NO_DENSE, kw_only=True)

    @property
    def documents(self) -> DocumentService:
        return DocumentService(self.database, self.changes, self.store, MAX_UPLOAD_BYTES)

    @property
    def bots(self) -> BotService:
        return BotService(self.database, self.changes)

    async def search(self, bot: Bot, question: str, limit: int) -> list[Passage]:
        return await search(self.database, bot, question, limit, dense=self.setup.retrieval(self.database))

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return job_kinds(self.worker_database, self.changes, self.store, self.setup)

    def ingestion(self, extractor: Extractor | None = None, changes: Changes | None = None) -> Ingestion:
        database, setup = self.worker_database, self.setup
        return Ingestion(
            database,
            changes or self.changes,
            self.store,
            extractor or Extractor(),
            setup.retrieval(database),
            setup.stores(database),
        )

    async def claim(self, *kinds: str) -> list[ClaimedJob]:
        return await Queue(self.worker_database, per_workspace=100).claim(100, kinds or KINDS)

    async def work(self) -> None:
        """Do all jobs that are queued, one after the other; a failure goes through."""
        while jobs := await self.claim():
            for job in jobs:
                await self.kinds[job.kind].handler(job)
                await self.end(job)

    async def end(self, job: ClaimedJob) -> None:
        """What the worker does when a handler returns."""
        with suppress(LeaseLost):
            async with self.worker_database.begin() as session:
                await complete(session, job)

    async def lapse(self) -> None:
        """Let all leases end and their jobs be queued again, as the sweep of another worker does."""
        await self.run("UPDATE jobs SET leased_until = now() - interval '1 second' WHERE state = 'RUNNING'")
        queue = Queue(self.worker_database, backoff_s=0)
        await queue.reap({name: kind.on_failed for name, kind in self.kinds.items()})

    async def run(self, statement: str, *workspaces: UUID) -> list[Any]:
        async with self.database.begin(workspaces) as session:
            result = await (await session.connection()).execute(text(statement))
            return list(result.all()) if result.returns_rows else []

    async def row(self, viewer: Viewer, document_id: UUID) -> Document | None:
        """The document's row, also when it is deleted."""
        async with self.database.begin(viewer.workspaces) as session:
            return await session.get(Document, document_id)

    async def chunks(self, viewer: Viewer, document_id: UUID) -> list[Chunk]:
        async with self.database.begin(viewer.workspaces) as session:
            query = select(Chunk).where(Chunk.document_id == document_id).order_by(text("version, start"))
            return list((await session.exec(query)).all())

    async def versions(self, viewer: Viewer, document_id: UUID) -> dict[int, str]:
        async with self.database.begin(viewer.workspaces) as session:
            rows = (await session.exec(select(DocumentVersion).where(DocumentVersion.document_id == document_id))).all()
        return {row.version: row.text for row in rows}

    async def jobs(self) -> list[Job]:
        async with self.database.begin() as session:
            return list((await session.exec(select(Job).order_by(text("id")))).all())

    async def traces(self, viewer: Viewer, document_id: UUID | None = None) -> dict[str, int]:
        """How many rows there are of a document, or of all, by table, receipts aside."""
        counts = {}
        for table in ("documents", "document_versions", "chunks", "chunk_lex", "chunk_vec"):
            column = "id" if table == "documents" else "document_id"
            where = "" if document_id is None else f" WHERE {column} = '{document_id}'"
            [(counts[table],)] = await self.run(f"SELECT count(*) FROM {table}{where}", *viewer.workspaces)
        return {table: number for table, number in counts.items() if number}

    def files(self) -> list[str]:
        """The keys of all files."""
        below = (path for path in self.directory.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.directory)) for path in below)


def content(chunks: Iterable[Chunk]) -> list[tuple[int, int, int, str, str | None]]:
    """What of chunks is the same after every ingestion of the same text."""
    return [(chunk.ordinal, chunk.start, chunk.end, chunk.text, chunk.heading) for chunk in chunks]


async def slowly(source: AsyncIterator[bytes], gate: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """The same bytes, once the gate is open."""
    await gate.wait()
    async for piece in source:
        yield piece


def as_guest(viewer: Viewer, workspace_id: UUID, role: Any) -> Viewer:
    return replace(viewer, workspaces={**viewer.workspaces, workspace_id: role})


async def no_pause(seconds: float) -> None:
    """Wait in no time."""
    assert seconds > 0
