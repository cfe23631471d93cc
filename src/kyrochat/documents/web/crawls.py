"""Use cases of crawls: starting, following and ending them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes, crawl_topic
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Crawl, CrawlPage
from kyrochat.db.states import CrawlPageState, CrawlStatus
from kyrochat.db.tenancy import Reach
from kyrochat.documents.kinds import CRAWL, job_key
from kyrochat.documents.labels import NO_LABELS, Labels, checked_labels
from kyrochat.documents.web import repository
from kyrochat.documents.web.service import check_interval, checked_address, editable_bot
from kyrochat.errors import Conflict, NotFound
from kyrochat.jobs.queue import enqueue
from kyrochat.rates.limits import UPLOADS_PER_USER
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.rules import Rules

DEFAULT_PAGES, MAX_PAGES = 100, 2000
DEFAULT_DEPTH, MAX_DEPTH = 3, 10


class CrawlIsRunning(Conflict):
    """The bot reads that very site at the moment."""

    def __init__(self) -> None:
        super().__init__("This bot is reading that site already. Wait until it is done, or delete the crawl first.")


@dataclass(frozen=True, slots=True)
class CrawlService:
    """What can be done with crawls."""

    database: Database
    changes: Changes
    rates: Rates = NO_LIMITS

    async def start(
        self,
        viewer: Viewer,
        bot_id: UUID,
        url: str,
        max_pages: int,
        max_depth: int,
        refresh_every_s: int | None,
        labels: Labels = NO_LABELS,
    ) -> Crawl:
        """Begin to read a site from the page at `url` on: up to `max_pages` pages, `max_depth` links away from it.

        Its documents get the labels.

        Raises:
            InvalidInput: the address is none, a number is out of range, or a label breaks a rule.
            NotFound: the viewer has no such bot.
            Forbidden: the viewer may not change it.
            CrawlIsRunning: the bot does that already.
            RateLimited: it is one too many within a minute.
        """
        rules = Rules()
        address = checked_address(rules, url)
        rules.number("maxPages", max_pages, least=1, most=MAX_PAGES)
        rules.number("maxDepth", max_depth, least=0, most=MAX_DEPTH)
        check_interval(rules, refresh_every_s)
        labels = checked_labels(rules, labels)
        rules.enforce()
        assert address is not None
        await self.rates.charge(UPLOADS_PER_USER, viewer.counted_as)
        bot = await editable_bot(self.database, viewer, bot_id)
        crawl = Crawl(
            id=new_id(),
            workspace_id=bot.workspace_id,
            bot_id=bot.id,
            url=str(address.without_tracking()),
            max_pages=max_pages,
            max_depth=max_depth,
            refresh_every_s=refresh_every_s,
            tags=list(labels.tags),
            attributes=dict(labels.metadata),
        )
        try:
            async with self.database.begin([bot.workspace_id]) as session:
                if not await bots.keep(session, bot.id, reach=Reach.of(bot.workspace_id)):
                    raise NotFound("bot")
                session.add(crawl)
                await session.flush()
                await session.refresh(crawl)
                await repository.add_pages(session, crawl, [crawl.url], 0, most=1)
                await enqueue_crawl(session, self.changes, crawl)
        except IntegrityError as error:
            if "crawls_bot_id_url_key" in str(error.orig):
                raise CrawlIsRunning from error
            raise
        return crawl

    async def delete(self, viewer: Viewer, crawl_id: UUID) -> UUID:
        """End a crawl, if it is not over, and forget it. What it has added stays.

        Raises:
            NotFound, Forbidden: the viewer has no such crawl, or may not change it.
        """
        async with self.database.begin(viewer.workspaces) as session:
            crawl = await repository.crawl(session, crawl_id, reach=viewer.reach)
            if crawl is None:
                raise NotFound("crawl")
            viewer.must(Act.INGEST, crawl.workspace_id)
            await repository.delete_crawl(session, crawl.id)
            await self.changes.announce(session, [crawl_topic(crawl.id)])
            return crawl.id

    async def get(self, viewer: Viewer, crawl_id: UUID) -> Crawl | None:
        """Return the crawl, or None when the viewer has no such crawl."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.crawl(session, crawl_id, reach=viewer.reach)

    async def many(self, viewer: Viewer, crawl_ids: Sequence[UUID]) -> Sequence[Crawl]:
        """Return those of the crawls that the viewer has, in no order."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.crawls(session, crawl_ids, reach=viewer.reach)

    async def page(self, viewer: Viewer, bot_id: UUID, request: PageRequest) -> Page[Crawl]:
        """Return one page of a bot's crawls, newest first."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.crawls_of(session, bot_id, request, reach=viewer.reach)

    async def count(self, viewer: Viewer, bot_id: UUID) -> int:
        """Return how many crawls `page` leads through."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.count_crawls(session, bot_id, reach=viewer.reach)

    async def found(
        self, viewer: Viewer, crawl: Crawl, request: PageRequest, state: CrawlPageState | None
    ) -> Page[CrawlPage]:
        """Return one page of what a crawl has found, last found first."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.crawl_pages(session, crawl.id, request, state=state)

    async def counts(self, viewer: Viewer, crawl_ids: Sequence[UUID]) -> Mapping[tuple[UUID, CrawlPageState], int]:
        """Return how many pages of each crawl are in each state; those that none is in are missing."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.count_crawl_pages(session, crawl_ids)

    async def progress(self, viewer: Viewer, crawl_id: UUID) -> AsyncGenerator[Crawl, None]:
        """Yield the crawl as it is now, then after every page, until it is over or deleted.

        Raises:
            NotFound: the viewer has no such crawl.
        """
        seen = None
        with self.changes.watch(crawl_topic(crawl_id)) as bell:
            while True:
                crawl = await self.get(viewer, crawl_id)
                if crawl is None and seen is None:
                    raise NotFound("crawl")
                if crawl is None:
                    return
                state = (crawl.status, await self.counts(viewer, [crawl_id]))
                if state != seen:
                    seen = state
                    yield crawl
                if crawl.status is not CrawlStatus.RUNNING:
                    return
                await bell.wait()


async def enqueue_crawl(session: AsyncSession, changes: Changes, crawl: Crawl, *, delay_s: float = 0.0) -> None:
    """Have the crawl go on; its job must not be under way."""
    await enqueue(
        session,
        changes,
        workspace_id=crawl.workspace_id,
        kind=CRAWL,
        # With the bot, whose paused jobs are woken together.
        payload={"crawl_id": str(crawl.id), "bot_id": str(crawl.bot_id)},
        dedupe_key=job_key(CRAWL, crawl.id),
        delay_s=delay_s,
    )
    await changes.announce(session, [crawl_topic(crawl.id)])
