"""Use cases of documents from the web: adding, reading again, and how often. Nothing is fetched in a request."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Document, WebPage
from kyrochat.db.states import DocumentSource
from kyrochat.db.tenancy import Reach
from kyrochat.documents import repository as documents
from kyrochat.documents.intake import UNLIMITED, Quota, check_room
from kyrochat.documents.kinds import FETCH, queue_job
from kyrochat.documents.labels import NO_LABELS, Labels, checked_labels
from kyrochat.documents.reading import MAX_TITLE_CHARS
from kyrochat.documents.web import repository
from kyrochat.documents.web.pages import announce, new_rows, plan_next, queue_fetch
from kyrochat.errors import Conflict, NotFound
from kyrochat.outbound.address import BadAddress, WebAddress
from kyrochat.rates.limits import UPLOADS_PER_USER
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.rules import Rules

MIN_REFRESH_S, MAX_REFRESH_S = 60, 366 * 24 * 3600


class SameAddress(Conflict):
    """The bot has a document from that address."""

    def __init__(self, title: str | None) -> None:
        named = f" as the document {title!r}" if title else ""
        super().__init__(f"This bot has the page already{named}. Use refreshDocument to read it again.")


class NotFromTheWeb(Conflict):
    """Only documents with an address can be read again."""

    def __init__(self) -> None:
        super().__init__("This document did not come from the web, so there is nothing to read again.")


@dataclass(frozen=True, slots=True)
class WebDocumentService:
    """What can be done with documents from the web, beyond what can be done with all documents."""

    database: Database
    changes: Changes
    quota: Quota = UNLIMITED
    rates: Rates = NO_LIMITS

    async def add(
        self,
        viewer: Viewer,
        bot_id: UUID,
        url: str,
        title: str | None,
        refresh_every_s: int | None,
        labels: Labels = NO_LABELS,
    ) -> Document:
        """Store a document for the page at `url` and queue its fetching. Without a title the page names itself.

        Raises:
            InvalidInput: the address is none, the title is too long, the interval out of range, or a label breaks a
                rule.
            NotFound: the viewer has no such bot.
            Forbidden: the viewer may not change it.
            QuotaExceeded: the workspace is full.
            RateLimited: it is one too many within a minute.
            SameAddress: the bot has this page.
        """
        rules = Rules()
        address = checked_address(rules, url)
        title = rules.text("title", title or "", max_chars=MAX_TITLE_CHARS)
        check_interval(rules, refresh_every_s)
        labels = checked_labels(rules, labels)
        rules.enforce()
        assert address is not None
        await self.rates.charge(UPLOADS_PER_USER, viewer.counted_as)
        bot = await editable_bot(self.database, viewer, bot_id)
        document, page = new_rows(new_id(), bot.workspace_id, bot.id, address, title, refresh_every_s, labels)
        try:
            async with self.database.begin([bot.workspace_id]) as session:
                if not await bots.keep(session, bot.id, reach=Reach.of(bot.workspace_id)):
                    raise NotFound("bot")
                session.add(document)
                await session.flush()
                session.add(page)
                await session.flush()
                await check_room(session, self.quota, bot.workspace_id)
                await session.refresh(document)
                await queue_job(session, self.changes, FETCH, document)
        except IntegrityError as error:
            if "web_pages_bot_id_address_key" not in str(error.orig):
                raise
            async with self.database.begin([bot.workspace_id]) as session:
                raise SameAddress(await repository.title_at(session, bot.id, str(address))) from error
        return document

    async def refresh(self, viewer: Viewer, document_id: UUID) -> Document:
        """Have the page read again, now rather than when its time comes.

        Raises:
            NotFound, Forbidden: the viewer has no such document, or may not change it.
            NotFromTheWeb: it has no address.
            RateLimited: it is one too many within a minute.
        """
        await self.rates.charge(UPLOADS_PER_USER, viewer.counted_as)
        async with self.database.begin(viewer.workspaces) as session:
            document, _ = await self._lock(session, viewer, document_id)
            await queue_fetch(session, self.changes, document)
            return document

    async def schedule(self, viewer: Viewer, document_id: UUID, refresh_every_s: int | None) -> Document:
        """Have the page read again every so many seconds from now on, or never by itself.

        Raises:
            InvalidInput: the interval is out of range.
            NotFound, Forbidden, NotFromTheWeb: as for `refresh`.
        """
        rules = Rules()
        check_interval(rules, refresh_every_s)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            document, page = await self._lock(session, viewer, document_id)
            page.refresh_every_s = refresh_every_s
            # What is waiting to be read for the first time is left alone: it plans the next time when it is done.
            if document.live_version is not None:
                await plan_next(session, self.changes, document, page)
            session.add(page)
            await announce(session, self.changes, document)
            return document

    async def pages(self, viewer: Viewer, document_ids: Sequence[UUID]) -> Sequence[WebPage]:
        """Return the pages behind those of the documents that come from the web, in no order."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.pages_of(session, document_ids, reach=viewer.reach)

    async def _lock(self, session: AsyncSession, viewer: Viewer, document_id: UUID) -> tuple[Document, WebPage]:
        seen = await documents.get(session, document_id, reach=viewer.reach)
        if seen is None:
            raise NotFound("document")
        viewer.must(Act.INGEST, seen.workspace_id)
        if seen.source is not DocumentSource.WEB:
            raise NotFromTheWeb
        found = await repository.lock(session, document_id)
        if found is None:  # deleted in this very moment
            raise NotFound("document")
        return found


def checked_address(rules: Rules, url: str) -> WebAddress | None:
    """Return the address, or note at `url` what is wrong with it. Where it leads is looked at when it is fetched."""
    try:
        return WebAddress.parse(url)
    except BadAddress as error:
        rules.add("url", error.message)
        return None


def check_interval(rules: Rules, refresh_every_s: int | None) -> None:
    """Note when the time between two readings is too short or too long."""
    if refresh_every_s is not None:
        rules.number("refreshEverySeconds", refresh_every_s, least=MIN_REFRESH_S, most=MAX_REFRESH_S)


async def editable_bot(database: Database, viewer: Viewer, bot_id: UUID) -> Bot:
    """Return the bot.

    Raises:
        NotFound, Forbidden: the viewer has no such bot, or may not change its documents.
    """
    async with database.begin(viewer.workspaces) as session:
        bot = await bots.get(session, bot_id, reach=viewer.reach)
    if bot is None:
        raise NotFound("bot")
    viewer.must(Act.INGEST, bot.workspace_id)
    return bot
