"""Tables of what comes from the web: pages that documents are made of, and crawls of sites."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import json_object, key, moment, now, one_of, owned_by, text_, texts, uuid_
from kyrochat.db.states import CrawlPageState, CrawlStatus


class WebPage(SQLModel, table=True):
    """The address behind a WEB document, and when it was read. Gone with the document's tombstone.

    `address` is what somebody asked for; the document's `url` is where that led.
    """

    __tablename__ = "web_pages"
    __table_args__ = (
        owned_by("documents", "document_id", name="web_pages_document_fkey"),
        UniqueConstraint("bot_id", "address", name="web_pages_bot_id_address_key"),
    )

    document_id: UUID = uuid_(primary=True)
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    address: str = text_()
    # Null: it is not read again by itself.
    refresh_every_s: int | None = None
    next_refresh_at: datetime | None = moment()
    # When it was last found to be as it is stored.
    refreshed_at: datetime | None = moment()
    # Why the last look at it failed; the document is what it was before.
    refresh_failure: str | None = text_(None)
    # What the server at `validated_address` says to tell versions apart.
    etag: str | None = text_(None)
    last_modified: str | None = text_(None)
    validated_address: str | None = text_(None)


class Crawl(SQLModel, table=True):
    """A walk over the pages of a site, each of which becomes a document."""

    __tablename__ = "crawls"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="crawls_id_workspace_id_key"),
        owned_by("bots", "bot_id", name="crawls_bot_fkey"),
        Index(
            "crawls_bot_id_url_key",
            "bot_id",
            "url",
            unique=True,
            postgresql_where=text("status = 'RUNNING'"),
        ),
        Index("crawls_bot_id_id_idx", "bot_id", "id"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    url: str = text_()
    # The first page after its redirects: what is on the same host belongs to the site. Null until it was fetched.
    site: str | None = text_(None)
    # Whether the sitemaps were looked at.
    is_mapped: bool = Field(default=False)
    max_pages: int
    max_depth: int
    refresh_every_s: int | None = None
    status: CrawlStatus = one_of(CrawlStatus.RUNNING)
    failure: str | None = text_(None)
    # What its documents get.
    tags: list[str] = texts()
    attributes: dict[str, Any] = json_object()
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)


class CrawlPage(SQLModel, table=True):
    """A page of the site, in the order of discovery; `reason` says why it did not become a document."""

    __tablename__ = "crawl_pages"
    __table_args__ = (
        owned_by("crawls", "crawl_id", name="crawl_pages_crawl_fkey"),
        ForeignKeyConstraint(
            ["document_id", "workspace_id"],
            ["documents.id", "documents.workspace_id"],
            ondelete="SET NULL (document_id)",
            name="crawl_pages_document_fkey",
        ),
        UniqueConstraint("crawl_id", "address", name="crawl_pages_crawl_id_address_key"),
        Index("crawl_pages_crawl_id_id_idx", "crawl_id", "id"),
        Index("crawl_pages_document_id_idx", "document_id", postgresql_where=text("document_id IS NOT NULL")),
        Index(
            "crawl_pages_waiting_idx", "crawl_id", "attempts", "depth", "id", postgresql_where=text("state = 'WAITING'")
        ),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    crawl_id: UUID = uuid_()
    address: str = text_()
    depth: int
    state: CrawlPageState = one_of(CrawlPageState.WAITING)
    reason: str | None = text_(None)
    attempts: int = Field(default=0)
    # The id of the document that it is about to become: a second attempt stores its file under the same key.
    reserved_id: UUID | None = uuid_(nullable=True)
    document_id: UUID | None = uuid_(nullable=True)
