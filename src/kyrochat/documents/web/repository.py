"""Queries on pages of the web and on crawls. What belongs to a deleted document or bot is not found."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.columns import new_id
from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Bot, Crawl, CrawlPage, Document, WebPage
from kyrochat.db.states import CrawlPageState
from kyrochat.db.tenancy import Reach


async def pages_of(session: AsyncSession, document_ids: Sequence[UUID], *, reach: Reach) -> Sequence[WebPage]:
    """Return the pages behind those of the documents that come from the web, in no order."""
    query = select(WebPage).where(col(WebPage.document_id).in_(document_ids), reach.covers(WebPage))
    return (await session.exec(query)).all()


async def lock(session: AsyncSession, document_id: UUID) -> tuple[Document, WebPage] | None:
    """Lock a document and the page behind it; None when it, or its bot, was deleted."""
    query = (
        select(Document, WebPage)
        .join(WebPage, col(WebPage.document_id) == Document.id)
        .join(Bot, col(Bot.id) == Document.bot_id)
        .where(Document.id == document_id, col(Document.deleted_at).is_(None), col(Bot.deleted_at).is_(None))
        .with_for_update(of=[Document, WebPage])
    )
    found = (await session.exec(query)).one_or_none()
    return None if found is None else (found[0], found[1])


async def title_at(session: AsyncSession, bot_id: UUID, address: str) -> str | None:
    """Return the title of the bot's document from that address."""
    query = (
        select(Document.title)
        .join(WebPage, col(WebPage.document_id) == Document.id)
        .where(WebPage.bot_id == bot_id, WebPage.address == address)
    )
    return (await session.exec(query)).one_or_none()


async def crawl(session: AsyncSession, crawl_id: UUID, *, reach: Reach) -> Crawl | None:
    """Return the crawl if it is within reach: absent and foreign look the same."""
    query = select(Crawl).join(Bot, col(Bot.id) == Crawl.bot_id)
    query = query.where(Crawl.id == crawl_id, reach.covers(Crawl), col(Bot.deleted_at).is_(None))
    return (await session.exec(query)).one_or_none()


async def crawls(session: AsyncSession, crawl_ids: Sequence[UUID], *, reach: Reach) -> Sequence[Crawl]:
    """Return those of the crawls that are within reach, in no order."""
    query = select(Crawl).join(Bot, col(Bot.id) == Crawl.bot_id)
    query = query.where(col(Crawl.id).in_(crawl_ids), reach.covers(Crawl), col(Bot.deleted_at).is_(None))
    return (await session.exec(query)).all()


async def lock_crawl(session: AsyncSession, crawl_id: UUID) -> Crawl | None:
    """Lock the crawl for a step of it; None when it, or its bot, was deleted."""
    query = select(Crawl).join(Bot, col(Bot.id) == Crawl.bot_id)
    query = query.where(Crawl.id == crawl_id, col(Bot.deleted_at).is_(None)).with_for_update(of=Crawl)
    return (await session.exec(query)).one_or_none()


async def delete_crawl(session: AsyncSession, crawl_id: UUID) -> None:
    """Delete a crawl with the list of its pages."""
    await session.exec(delete(Crawl).where(col(Crawl.id) == crawl_id))


async def crawls_of(session: AsyncSession, bot_id: UUID, request: PageRequest, *, reach: Reach) -> Page[Crawl]:
    """Return one page of a bot's crawls, newest first."""
    return await page(session, select(Crawl).where(Crawl.bot_id == bot_id, reach.covers(Crawl)), Crawl.id, request)


async def count_crawls(session: AsyncSession, bot_id: UUID, *, reach: Reach) -> int:
    """Return how many crawls `crawls_of` leads through."""
    query = select(func.count()).select_from(Crawl).where(Crawl.bot_id == bot_id, reach.covers(Crawl))
    return (await session.exec(query)).one()


async def crawl_pages(
    session: AsyncSession, crawl_id: UUID, request: PageRequest, *, state: CrawlPageState | None
) -> Page[CrawlPage]:
    """Return one page of what a crawl has found, last found first, all or those of one state."""
    query = select(CrawlPage).where(CrawlPage.crawl_id == crawl_id)
    if state is not None:
        query = query.where(CrawlPage.state == state)
    return await page(session, query, CrawlPage.id, request)


async def count_crawl_pages(session: AsyncSession, crawl_ids: Sequence[UUID]) -> dict[tuple[UUID, CrawlPageState], int]:
    """Return how many pages of each crawl are in each state; those that none is in are missing."""
    query = (
        select(CrawlPage.crawl_id, CrawlPage.state, func.count())
        .where(col(CrawlPage.crawl_id).in_(crawl_ids))
        .group_by(col(CrawlPage.crawl_id), col(CrawlPage.state))
    )
    return {(crawl_id, CrawlPageState(state)): number for crawl_id, state, number in await session.exec(query)}


async def next_page(session: AsyncSession, crawl_id: UUID) -> CrawlPage | None:
    """Return the page to visit next: those that have not failed before first, then those near the start."""
    query = (
        select(CrawlPage)
        .where(CrawlPage.crawl_id == crawl_id, CrawlPage.state == CrawlPageState.WAITING)
        .order_by(col(CrawlPage.attempts), col(CrawlPage.depth), col(CrawlPage.id))
        .limit(1)
    )
    return (await session.exec(query)).one_or_none()


async def first_page(session: AsyncSession, crawl_id: UUID) -> CrawlPage | None:
    """Return the page that the crawl started with."""
    query = select(CrawlPage).where(CrawlPage.crawl_id == crawl_id).order_by(col(CrawlPage.id)).limit(1)
    return (await session.exec(query)).one_or_none()


async def page_at(session: AsyncSession, crawl_id: UUID, address: str) -> CrawlPage | None:
    """Return the page of that address, if the crawl has found it."""
    query = select(CrawlPage).where(CrawlPage.crawl_id == crawl_id, CrawlPage.address == address)
    return (await session.exec(query)).one_or_none()


async def add_pages(session: AsyncSession, crawl: Crawl, addresses: Iterable[str], depth: int, *, most: int) -> None:
    """Add pages that the crawl has not found before, in this order, until it has `most`."""
    query = select(func.count()).select_from(CrawlPage).where(CrawlPage.crawl_id == crawl.id)
    left = most - (await session.exec(query)).one()
    known = set(await session.exec(select(CrawlPage.address).where(CrawlPage.crawl_id == crawl.id))) if left > 0 else ()
    new = [address for address in dict.fromkeys(addresses) if address not in known][: max(0, left)]
    if not new:
        return
    rows = [
        {
            "id": new_id(),
            "workspace_id": crawl.workspace_id,
            "crawl_id": crawl.id,
            "address": address,
            "depth": depth,
            "state": CrawlPageState.WAITING,
            "attempts": 0,
        }
        for address in new
    ]
    # The crawl is locked, so nobody else adds any; the conflict is for whoever forgets that.
    await (await session.connection()).execute(insert(CrawlPage).values(rows).on_conflict_do_nothing())
