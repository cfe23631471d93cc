"""What is done for the jobs of the web."""

from collections.abc import Mapping

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.documents.extraction import Extractor
from kyrochat.documents.intake import Quota
from kyrochat.documents.kinds import CRAWL, FETCH
from kyrochat.documents.storage import FileStore
from kyrochat.documents.web.crawling import SiteCrawl, fail_crawl
from kyrochat.documents.web.link_child import CHILD, LinkReader
from kyrochat.documents.web.manners import Visitor
from kyrochat.documents.web.page_fetch import PageFetch, note_failure, note_retry
from kyrochat.documents.web.visiting import Guide
from kyrochat.jobs.queue import ClaimedJob
from kyrochat.jobs.worker import Kind
from kyrochat.outbound.deny_table import AddressRules, IPNetwork
from kyrochat.outbound.fetching import Fetcher, user_agent


def open_visitor(version: str, allowed: tuple[IPNetwork, ...]) -> Visitor:
    """Return the process' one visitor of other people's sites: it knows whose turn it is."""
    return Visitor(Fetcher(user_agent(version), AddressRules(allowed)))


def web_kinds(
    database: Database, changes: Changes, store: FileStore, visitor: Visitor, extractor: Extractor, quota: Quota
) -> Mapping[str, Kind]:
    """Return what is done for each kind of job; all of them go out through `visitor`."""

    async def on_fetch_failed(session: AsyncSession, job: ClaimedJob, reason: str) -> None:
        await note_failure(session, changes, job, reason)

    async def on_fetch_retry(session: AsyncSession, job: ClaimedJob, reason: str, delay_s: float) -> None:
        await note_retry(session, changes, job, reason, delay_s)

    async def on_crawl_failed(session: AsyncSession, job: ClaimedJob, reason: str) -> None:
        await fail_crawl(session, changes, job, reason)

    # Links are read in the same few children at once as texts are.
    guide = Guide(visitor, LinkReader(Extractor(extractor.limits, extractor.slots, CHILD)))
    return {
        FETCH: Kind(PageFetch(database, changes, store, visitor, extractor, quota), on_fetch_failed, on_fetch_retry),
        CRAWL: Kind(SiteCrawl(database, changes, store, guide, quota), on_crawl_failed),
    }
