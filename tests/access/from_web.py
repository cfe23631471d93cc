"""What came to a bot of the scene from the web."""

from datetime import UTC, datetime
from typing import Any

from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Crawl, CrawlPage, Document, WebPage
from kyrochat.db.states import CrawlPageState, CrawlStatus, DocumentSource, DocumentStatus
from kyrochat.graphql.ids import global_id
from tests.access.cast import Things


async def add_from_web(database: Database, of_bot: dict[str, Any], word: str) -> Things:
    """Add a page of the web, and a crawl that has found it."""
    url, now = f"https://{word}.example/nest", datetime.now(UTC)
    page = Document(
        **of_bot,
        title=f"The nest of the {word}",
        source=DocumentSource.WEB,
        url=url,
        media_type="text/html",
        content_hash=new_id().bytes,
        status=DocumentStatus.READY,
        live_version=1,
    )
    crawl = Crawl(
        **of_bot,
        url=url,
        max_pages=1,
        max_depth=0,
        status=CrawlStatus.FAILED,
        failure=f"The {word} was not at home.",
    )
    workspace_id = of_bot["workspace_id"]
    async with database.begin([workspace_id]) as session:
        session.add_all([page, crawl])
        await session.flush()
        session.add_all(
            [
                WebPage(
                    **of_bot,
                    document_id=page.id,
                    address=url,
                    refresh_every_s=600,
                    refreshed_at=now,
                    next_refresh_at=now,
                    refresh_failure=f"The {word} has flown.",
                ),
                CrawlPage(
                    workspace_id=workspace_id,
                    crawl_id=crawl.id,
                    address=url,
                    depth=0,
                    state=CrawlPageState.ADDED,
                    reason=f"It is the {word}'s.",
                    document_id=page.id,
                ),
            ]
        )
    return {"WebDocument": global_id("Document", page.id), "Crawl": global_id("Crawl", crawl.id)}
