"""The job that crawls a site: page after page, each in a transaction of its own, until all is seen, or enough.

A crash costs the page under way, which is visited again. The job ends after a while and lets a successor go on, so that
others get their turn, and so that a long crawl does not use up the attempts of one job.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes, crawl_topic
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Crawl, CrawlPage
from kyrochat.db.states import CrawlPageState, CrawlStatus
from kyrochat.db.tenancy import Reach
from kyrochat.documents import repository as documents
from kyrochat.documents.incoming import once
from kyrochat.documents.intake import UNLIMITED, Quota, check_room
from kyrochat.documents.kinds import INGEST, queue_job
from kyrochat.documents.labels import Labels
from kyrochat.documents.storage import FileStore
from kyrochat.documents.web import repository
from kyrochat.documents.web.crawls import enqueue_crawl
from kyrochat.documents.web.manners import Refused
from kyrochat.documents.web.page_fetch import pause_s, same_content
from kyrochat.documents.web.pages import new_rows, park_while_paused, plan_next, take
from kyrochat.documents.web.visiting import Guide, Visit
from kyrochat.errors import FetchFailed, QuotaExceeded
from kyrochat.jobs.queue import ClaimedJob, LeaseLost, complete, hold
from kyrochat.outbound.address import WebAddress

SLICE_S = 20.0
PAGE_ATTEMPTS = 3


class Gone(Exception):
    """The crawl was deleted: there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class SiteCrawl:
    """The handler of jobs that crawl a site, for up to `slice_s` seconds each."""

    database: Database
    changes: Changes
    store: FileStore
    guide: Guide
    quota: Quota = UNLIMITED
    slice_s: float = SLICE_S

    async def __call__(self, job: ClaimedJob) -> None:
        """Visit pages, and leave the rest to a successor.

        Raises:
            LeaseLost: another worker has taken over.
        """
        try:
            await self._go_on(job, await self._crawl(job))
        except (Gone, _Over):
            return
        except _Paused:
            await self._park(job)
        except QuotaExceeded as error:
            async with self.database.begin([job.workspace_id]) as session:
                await fail_crawl(session, self.changes, job, error.message)
                await complete(session, job)

    async def _crawl(self, job: ClaimedJob) -> float:
        """Visit pages until time is up or the site wants to be left alone, and return for how long, in seconds."""
        clock = asyncio.get_running_loop().time
        until = clock() + self.slice_s
        while clock() < until:
            crawl, page = await self._next(job)
            if crawl.site is not None and not crawl.is_mapped and (page is None or page.depth > 0):
                await self._map(job, crawl, WebAddress.parse(crawl.site))
            elif page is None:
                await self._finish(job)
            else:
                leave_alone_s = await self._visit(job, crawl, page)
                if leave_alone_s:
                    return leave_alone_s
        return 0.0

    async def _next(self, job: ClaimedJob) -> tuple[Crawl, CrawlPage | None]:
        async with self.database.begin([job.workspace_id]) as session:
            crawl = await self._step(session, job)
            page = await repository.next_page(session, crawl.id)
            if page is not None and page.reserved_id is None:
                page.reserved_id = new_id()
                session.add(page)
            return crawl, page

    async def _visit(self, job: ClaimedJob, crawl: Crawl, page: CrawlPage) -> float:
        site = WebAddress.parse(crawl.site) if crawl.site else None
        try:
            visit = await self.guide.visit(WebAddress.parse(page.address), site)
        except FetchFailed as error:
            return await self._note_failure(job, page, error)
        key = f"{job.workspace_id}/{page.reserved_id}/{job.lease_token}"
        if visit.content is not None and visit.reason is None:
            await self.store.put(key, once(visit.content.body), len(visit.content.body))
        try:
            async with self.database.begin([job.workspace_id]) as session:
                crawl = await self._step(session, job)
                await self._record(session, crawl, page, visit, key)
        except (Gone, LeaseLost, QuotaExceeded, _Paused):
            await self.store.delete(key)
            raise
        if page.state is not CrawlPageState.ADDED:
            await self.store.delete(key)
        return 0.0

    async def _record(
        self, session: AsyncSession, crawl: Crawl, page: CrawlPage, visit: Visit, storage_key: str
    ) -> None:
        """Write down what became of a page, and which pages it leads to."""
        crawl.site = crawl.site or str(visit.site)
        session.add(crawl)
        links = visit.links if page.depth < crawl.max_depth else ()
        if visit.instead is not None and await _takes_over(session, crawl, visit.instead, page.depth):
            reason: str | None = f"The page is to be found at {visit.instead}."
            links = ()  # they come with that one
        else:
            reason = visit.reason or await self._add_document(session, crawl, page, visit, storage_key)
        page.state, page.reason = CrawlPageState.SKIPPED if reason else CrawlPageState.ADDED, reason
        session.add(page)
        await repository.add_pages(session, crawl, links, page.depth + 1, most=crawl.max_pages)

    async def _add_document(
        self, session: AsyncSession, crawl: Crawl, page: CrawlPage, visit: Visit, storage_key: str
    ) -> str | None:
        """Make a document of the page, or return why there is none."""
        assert visit.content is not None
        assert page.reserved_id is not None
        # From here the bot's purge comes after this document, and so finds its file.
        if not await bots.keep(session, crawl.bot_id, reach=Reach.of(crawl.workspace_id)):
            raise Gone
        if await repository.title_at(session, crawl.bot_id, page.address) is not None:
            return "The bot has the page already."
        document, web_page = new_rows(
            page.reserved_id,
            crawl.workspace_id,
            crawl.bot_id,
            WebAddress.parse(page.address),
            "",
            crawl.refresh_every_s,
            Labels(tuple(crawl.tags), crawl.attributes),
        )
        take(document, web_page, visit.content, storage_key, visit.page.validators)
        web_page.refreshed_at = await documents.from_now(session, 0)
        try:
            async with session.begin_nested():
                session.add(document)
                await session.flush()
                session.add(web_page)
                await session.flush()
        except IntegrityError as error:
            if "documents_bot_id_content_hash_key" not in str(error.orig):
                raise
            return same_content(await documents.by_content(session, crawl.bot_id, visit.content.sha256))
        await check_room(session, self.quota, crawl.workspace_id)
        page.document_id = document.id
        await queue_job(session, self.changes, INGEST, document)
        await plan_next(session, self.changes, document, web_page)
        return None

    async def _note_failure(self, job: ClaimedJob, page: CrawlPage, error: FetchFailed) -> float:
        """Write down that a page could not be had, and return for how long to leave the site alone."""
        async with self.database.begin([job.workspace_id]) as session:
            await self._step(session, job)
            page.attempts += 1
            again = error.retryable and page.attempts < PAGE_ATTEMPTS
            if not again:
                page.state = CrawlPageState.SKIPPED if isinstance(error, Refused) else CrawlPageState.FAILED
            page.reason = error.message
            session.add(page)
        return pause_s(page.attempts, error.retry_after_s) if again else 0.0

    async def _map(self, job: ClaimedJob, crawl: Crawl, site: WebAddress) -> None:
        listed = await self.guide.map_of(site, crawl.max_pages) if crawl.max_depth else []
        async with self.database.begin([job.workspace_id]) as session:
            crawl = await self._step(session, job)
            crawl.is_mapped = True
            session.add(crawl)
            await repository.add_pages(session, crawl, listed, 1, most=crawl.max_pages)

    async def _finish(self, job: ClaimedJob) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            crawl = await self._step(session, job)
            first = await repository.first_page(session, crawl.id)
            is_failed = first is not None and first.state is CrawlPageState.FAILED
            crawl.status = CrawlStatus.FAILED if is_failed else CrawlStatus.COMPLETED
            crawl.failure = first.reason if first is not None and is_failed else None
            session.add(crawl)
            await complete(session, job)
        raise _Over

    async def _go_on(self, job: ClaimedJob, delay_s: float) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            crawl = await self._step(session, job)
            await complete(session, job)
            await enqueue_crawl(session, self.changes, crawl, delay_s=delay_s)

    async def _park(self, job: ClaimedJob) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            crawl = await repository.lock_crawl(session, _target(job))
            if crawl is None:
                await complete(session, job)
            else:
                await park_while_paused(session, self.changes, job, crawl.bot_id)

    async def _step(self, session: AsyncSession, job: ClaimedJob) -> Crawl:
        """Lock the crawl for one step, under the job's lease, and tell whoever follows it at the commit."""
        await hold(session, job)
        crawl = await repository.lock_crawl(session, _target(job))
        if crawl is None:
            raise Gone
        if await bots.is_paused(session, crawl.bot_id):
            raise _Paused
        await self.changes.announce(session, [crawl_topic(crawl.id)])
        return crawl


class _Paused(Exception):
    """The bot's ingestion is paused."""


class _Over(Exception):
    """All is seen: the job is complete."""


async def fail_crawl(session: AsyncSession, changes: Changes, job: ClaimedJob, reason: str) -> None:
    """Mark the job's crawl FAILED, in the transaction that ends the job."""
    crawl = await repository.lock_crawl(session, _target(job))
    if crawl is None:
        return
    crawl.status, crawl.failure = CrawlStatus.FAILED, reason
    session.add(crawl)
    await changes.announce(session, [crawl_topic(crawl.id)])


async def _takes_over(session: AsyncSession, crawl: Crawl, address: str, depth: int) -> bool:
    """Say whether another page will stand for this one; one that the crawl has not found yet is added."""
    other = await repository.page_at(session, crawl.id, address)
    if other is None:
        # One for each page at most, beyond the limit: this page takes up none of it.
        await repository.add_pages(session, crawl, [address], depth, most=2 * crawl.max_pages)
        return await repository.page_at(session, crawl.id, address) is not None
    return other.state in (CrawlPageState.WAITING, CrawlPageState.ADDED)


def _target(job: ClaimedJob) -> UUID:
    return UUID(job.payload["crawl_id"])
