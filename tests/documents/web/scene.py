"""A library that reads a website which the test serves on loopback, worked by hand."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlmodel import select

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Crawl, CrawlPage, Document, WebPage
from kyrochat.db.states import CrawlPageState
from kyrochat.documents.intake import UNLIMITED, Quota
from kyrochat.documents.kinds import CRAWL, FETCH
from kyrochat.documents.web.crawls import CrawlService
from kyrochat.documents.web.manners import Visitor
from kyrochat.documents.web.service import WebDocumentService
from kyrochat.jobs.queue import LeaseLost, Queue, RetryLater
from kyrochat.jobs.worker import Kind
from kyrochat.working import job_kinds
from tests.documents.scene import KINDS, Library
from tests.outbound.wire import Request, answer

WEB_KINDS = (*KINDS, FETCH, CRAWL)


@dataclass
class Site:
    """What a website says; a page may be changed, and a request held up until the gate opens."""

    pages: dict[str, bytes] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target in self.held:
            self.reached.set()
            await self.gate.wait()
        writer.write(self.pages.get(request.target, answer(status="404 Not Found")))


def page(title: str, text: str, *links: str, head: str = "", **headers: str) -> bytes:
    """An answer with a page of HTML that leads to `links`."""
    anchors = "".join(f'<a href="{link}">{link}</a> ' for link in links)
    html = f"<html><head><title>{title}</title>{head}</head><body><nav>{anchors}</nav><p>{text}</p></body></html>"
    return answer(html.encode(), **headers)


@dataclass(frozen=True)
class WebLibrary(Library):
    """A library whose worker may go out to the web."""

    visitor: Visitor
    quota: Quota = UNLIMITED

    @property
    def web(self) -> WebDocumentService:
        return WebDocumentService(self.database, self.changes, self.quota)

    @property
    def crawls(self) -> CrawlService:
        return CrawlService(self.database, self.changes)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return job_kinds(self.worker_database, self.changes, self.store, self.setup, self.visitor, self.quota)

    async def work(self) -> None:
        """Do all jobs that are due, one after the other, as the worker does."""
        while jobs := await self.claim(*WEB_KINDS):
            for job in jobs:
                kind = self.kinds[job.kind]
                try:
                    await kind.handler(job)
                except RetryLater as error:
                    queue = Queue(self.worker_database)
                    await queue.fail(job, error.message, error.delay_s, kind.on_failed, kind.on_retry)
                except LeaseLost:
                    continue
                else:
                    await self.end(job)

    async def let_time_pass(self) -> None:
        """Let whatever was planned for later be due now, and do it."""
        await self.run("UPDATE jobs SET run_at = now() WHERE state = 'QUEUED' AND run_at < 'infinity'")
        await self.work()

    async def document(self, viewer: Viewer, document_id: UUID) -> Document:
        found = await self.documents.get(viewer, document_id)
        assert found is not None
        return found

    async def web_page(self, viewer: Viewer, document_id: UUID) -> WebPage:
        [found] = await self.web.pages(viewer, [document_id])
        return found

    async def crawl(self, viewer: Viewer, crawl_id: UUID) -> Crawl:
        found = await self.crawls.get(viewer, crawl_id)
        assert found is not None
        return found

    async def crawled(self, viewer: Viewer, crawl_id: UUID) -> dict[str, tuple[CrawlPageState, str | None]]:
        """What became of each page, by path."""
        async with self.database.begin(viewer.workspaces) as session:
            query = select(CrawlPage).where(CrawlPage.crawl_id == crawl_id).order_by("id")
            rows = (await session.exec(query)).all()
        return {"/" + row.address.split("/", 3)[3]: (row.state, row.reason) for row in rows}

    async def delayed(self) -> list[tuple[str, float]]:
        """The jobs that are planned for later, and in how many seconds."""
        rows = await self.run(
            "SELECT kind, extract(epoch FROM run_at - now()) FROM jobs WHERE state = 'QUEUED' AND run_at > now()"
        )
        return [(row[0], float(row[1])) for row in rows]
