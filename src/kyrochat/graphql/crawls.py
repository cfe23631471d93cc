"""Crawls in the schema."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import UNSET

from kyrochat.db import models
from kyrochat.documents.web.crawls import DEFAULT_DEPTH, DEFAULT_PAGES
from kyrochat.graphql.bots import Bot, BotId
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.documents import Document
from kyrochat.graphql.enums import CrawlPageState, CrawlStatus
from kyrochat.graphql.filters import METADATA, TAGS, Metadata, labels
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.optional import if_given
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem
from kyrochat.graphql.translate import translate
from kyrochat.graphql.web import REFRESH

CrawlId = Annotated[strawberry.ID, strawberry.argument(description="The id of a crawl.")]


@strawberry.type(description="A page that a crawl has found.")
class CrawlPage:
    """From models.CrawlPage."""

    document_id: strawberry.Private[UUID | None]
    url: str = strawberry.field(description="Its address.")
    depth: int = strawberry.field(description="How many links away from the first page it was found.")
    state: CrawlPageState = strawberry.field(description="What became of it.")
    reason: str | None = strawberry.field(
        description="Why it is no document, or why its last attempt failed; null otherwise."
    )

    @classmethod
    def from_row(cls, row: models.CrawlPage) -> "CrawlPage":
        """Translate."""
        return cls(document_id=row.document_id, url=row.address, depth=row.depth, state=row.state, reason=row.reason)

    @strawberry.field(description="The document that it became, unless that was deleted.")
    async def document(self, info: Info) -> Document | None:
        """Load."""
        row = await info.context.documents.load(self.document_id) if self.document_id else None
        return Document.from_row(row) if row else None


@strawberry.type(description="A walk over the pages of a site, each of which becomes a document of a bot.")
class Crawl(Node):
    """From models.Crawl."""

    row: strawberry.Private[models.Crawl]
    url: str = strawberry.field(description="The page that it began with.")
    max_pages: int = strawberry.field(description="How many pages it adds at most.")
    max_depth: int = strawberry.field(description="How many links away from the first page it goes at most.")
    status: CrawlStatus = strawberry.field(description="Where it stands.")
    failure: str | None = strawberry.field(description="What failed and what to do about it, safe to show.")
    created_at: datetime = strawberry.field(description="When it was started.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @classmethod
    def from_row(cls, row: models.Crawl) -> "Crawl":
        """Translate."""
        return cls(
            id=global_id("Crawl", row.id),
            row=row,
            url=row.url,
            max_pages=row.max_pages,
            max_depth=row.max_depth,
            status=row.status,
            failure=row.failure,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="The bot that answers from the pages.")
    async def bot(self, info: Info) -> Bot:
        """Load."""
        return Bot.from_row(await info.context.bot(self.row.bot_id), info.context)

    @strawberry.field(description="How many pages are still to be visited.")
    async def pages_waiting(self, info: Info) -> int:
        """Count."""
        return (await info.context.crawl_counts.load(self.row.id))[CrawlPageState.WAITING]

    @strawberry.field(description="How many pages have become documents.")
    async def pages_added(self, info: Info) -> int:
        """Count."""
        return (await info.context.crawl_counts.load(self.row.id))[CrawlPageState.ADDED]

    @strawberry.field(description="How many pages were left out; each says why.")
    async def pages_skipped(self, info: Info) -> int:
        """Count."""
        return (await info.context.crawl_counts.load(self.row.id))[CrawlPageState.SKIPPED]

    @strawberry.field(description="How many pages could not be fetched; each says why.")
    async def pages_failed(self, info: Info) -> int:
        """Count."""
        return (await info.context.crawl_counts.load(self.row.id))[CrawlPageState.FAILED]

    @strawberry.field(description="The pages that it has found, the last found first.")
    async def pages(
        self,
        info: Info,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        state: Annotated[
            CrawlPageState | None, strawberry.argument(description="Only those that this became of.")
        ] = UNSET,
    ) -> Connection[CrawlPage]:
        """Page."""
        crawls, viewer, wanted = info.context.services.crawls, info.context.viewer, state or None
        page = await crawls.found(viewer, self.row, page_request(first, after, last, before), wanted)

        async def count() -> int:
            counts = await info.context.crawl_counts.load(self.row.id)
            return counts[wanted] if wanted else sum(counts.values())

        return connection(page, CrawlPage.from_row, count)


@translate.register
def _(row: models.Crawl, context: Context) -> Crawl:
    del context
    return Crawl.from_row(row)


@strawberry.type(description="A crawl that has ended and is forgotten. The documents that it has added are there.")
class DeletedCrawl:
    """The answer of `deleteCrawl`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.input(description="A site whose pages shall become documents.")
class CrawlSiteInput:
    """For `crawlSite`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot that shall answer from them.")
    url: str = strawberry.field(description="The page to begin with; pages on other hosts do not belong to the site.")
    max_pages: int | None = strawberry.field(
        default=DEFAULT_PAGES, description="How many pages are added at most: 1 to 2,000."
    )
    max_depth: int | None = strawberry.field(
        default=DEFAULT_DEPTH,
        description="How many links away from the first page: 0 to 10. Pages of the site's sitemaps count as 1 away.",
    )
    refresh_every_seconds: int | None = strawberry.field(default=UNSET, description=REFRESH)
    tags: list[str] | None = strawberry.field(default=UNSET, description=f"Of each of its documents. {TAGS}")
    metadata: Metadata | None = strawberry.field(default=UNSET, description=f"Of each of its documents. {METADATA}")


CrawlSiteResult = Annotated[
    Crawl | InvalidInputProblem | ConflictProblem | NotFoundProblem,
    strawberry.union("CrawlSiteResult", description="The crawl, queued, or why there is none."),
]
DeleteCrawlResult = Annotated[
    DeletedCrawl | NotFoundProblem,
    strawberry.union("DeleteCrawlResult", description="The crawl is gone, or was not there."),
]


@strawberry.type
class CrawlQuery:
    """Queries on crawls."""

    @strawberry.field(description="A crawl of yours, or null.")
    async def crawl(self, info: Info, id: CrawlId) -> Crawl | None:
        """Load."""
        row = await info.context.crawls.load(row_id("Crawl", id))
        return Crawl.from_row(row) if row else None

    @strawberry.field(description="The crawls for a bot, newest first; none if it is not yours.")
    async def crawls(
        self,
        info: Info,
        bot_id: BotId,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Connection[Crawl]:
        """Page."""
        crawls, viewer, bot = info.context.services.crawls, info.context.viewer, row_id("Bot", bot_id)
        page = await crawls.page(viewer, bot, page_request(first, after, last, before))
        return connection(page, Crawl.from_row, lambda: crawls.count(viewer, bot))


@strawberry.type
class CrawlMutation:
    """Mutations on crawls."""

    @strawberry.mutation(
        description="Make documents of a site's pages: those that its first page and its sitemaps lead to, on the same "
        "host, as its robots.txt permits. Pages that the bot has already are skipped. Follow it with `crawlProgress`."
    )
    async def crawl_site(
        self, info: Info, input: Annotated[CrawlSiteInput, strawberry.argument(description="The site.")]
    ) -> CrawlSiteResult:
        """Start."""
        row = await info.context.services.crawls.start(
            info.context.viewer,
            row_id("Bot", input.bot_id),
            input.url,
            DEFAULT_PAGES if input.max_pages is None else input.max_pages,
            DEFAULT_DEPTH if input.max_depth is None else input.max_depth,
            if_given(input.refresh_every_seconds),
            labels(input.tags, input.metadata),
        )
        return Crawl.from_row(row)

    @strawberry.mutation(description="End a crawl and forget it. The documents that it has added stay.")
    async def delete_crawl(self, info: Info, id: CrawlId) -> DeleteCrawlResult:
        """Delete."""
        await info.context.services.crawls.delete(info.context.viewer, row_id("Crawl", id))
        return DeletedCrawl(id=id)


@strawberry.type
class CrawlSubscription:
    """Subscriptions to crawls."""

    @strawberry.subscription(description="A crawl's state now, then after each page, until it is over or deleted.")
    async def crawl_progress(self, info: Info, id: CrawlId) -> AsyncGenerator[Crawl, None]:
        """Follow."""
        crawls = info.context.services.crawls
        async for row in crawls.progress(info.context.viewer, row_id("Crawl", id)):
            yield Crawl.from_row(row)
