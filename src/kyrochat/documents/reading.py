"""Reading documents: lists of them, their texts, and how far their ingestion is."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes, document_topic, ingestion_topic
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Document, DocumentDeletion
from kyrochat.db.states import DocumentStatus
from kyrochat.documents import repository
from kyrochat.errors import NotFound
from kyrochat.retrieval.search_settings import NO_FILTER, DocumentFilter
from kyrochat.retrieval.settings_rules import check_filter
from kyrochat.rules import Rules

MAX_TITLE_CHARS = 300
MAX_TEXT_CHARS = 2_000_000
UNFINISHED = (DocumentStatus.QUEUED, DocumentStatus.PROCESSING)
# How many of the documents that are being read the progress of a bot names.
NAMED_DOCUMENTS = 10


@dataclass(frozen=True, slots=True)
class IngestionState:
    """How far a bot's documents are: how many stand where, and the ones that are being read now, oldest first."""

    counts: dict[DocumentStatus, int]
    is_paused: bool
    processing: tuple[Document, ...]

    @property
    def is_idle(self) -> bool:
        """Whether nothing will happen by itself: all have been read or have failed, or it is paused."""
        waiting = self.counts.get(DocumentStatus.QUEUED, 0)
        return not self.counts.get(DocumentStatus.PROCESSING, 0) and (self.is_paused or not waiting)


@dataclass(frozen=True, slots=True)
class DocumentReader:
    """What can be read of the viewer's documents."""

    database: Database
    changes: Changes

    async def deletion(self, viewer: Viewer, document_id: UUID) -> DocumentDeletion | None:
        """Return the receipt of a deleted document, or None."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.deletion(session, document_id, reach=viewer.reach)

    async def get(self, viewer: Viewer, document_id: UUID) -> Document | None:
        """Return the document, or None when the viewer has no such document."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.get(session, document_id, reach=viewer.reach)

    async def many(self, viewer: Viewer, document_ids: Sequence[UUID]) -> Sequence[Document]:
        """Return those of the documents that the viewer has, in no order."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.many(session, document_ids, reach=viewer.reach)

    async def page(
        self,
        viewer: Viewer,
        bot_id: UUID,
        request: PageRequest,
        status: DocumentStatus | None,
        wanted: DocumentFilter = NO_FILTER,
    ) -> Page[Document]:
        """Return one page of a bot's documents, newest first, of those that the filter lets through.

        Raises:
            InvalidInput: the filter is too large.
        """
        rules = Rules()
        check_filter(rules, wanted)
        rules.enforce()
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.page_of(session, bot_id, request, reach=viewer.reach, status=status, wanted=wanted)

    async def count(
        self, viewer: Viewer, bot_id: UUID, status: DocumentStatus | None, wanted: DocumentFilter = NO_FILTER
    ) -> int:
        """Return how many documents `page` leads through."""
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.count(session, bot_id, reach=viewer.reach, status=status, wanted=wanted)

    async def text(self, viewer: Viewer, document: Document, version: int | None, start: int, end: int | None) -> str:
        """Return characters [start, end) of the extracted text of a version, by default the live one.

        A document that is not ready yet has no text: ''.

        Raises:
            InvalidInput: the range is not one.
            NotFound: there is no such version.
        """
        rules = Rules()
        rules.number("start", start, least=0, most=MAX_TEXT_CHARS)
        if end is not None:
            rules.number("end", end, least=start, most=MAX_TEXT_CHARS)
        rules.enforce()
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            wanted = (document.live_version or 0) if version is None else version
            found = await repository.excerpt(session, document.id, wanted, start, end)
        if found is None and version is not None:
            raise NotFound("version of the document")
        return found or ""

    async def progress(self, viewer: Viewer, document_id: UUID) -> AsyncGenerator[Document, None]:
        """Yield the document as it is now, then at every change, until it is READY, FAILED or deleted.

        Raises:
            NotFound: the viewer has no such document.
        """
        seen = None
        with self.changes.watch(document_topic(document_id)) as bell:
            while True:
                document = await self.get(viewer, document_id)
                if document is None and seen is None:
                    raise NotFound("document")
                if document is None:
                    return
                state = (
                    document.status,
                    document.stage,
                    document.progress,
                    document.failure,
                    document.attempts,
                    document.next_attempt_at,
                    document.version,
                )
                if state != seen:
                    seen = state
                    yield document
                if document.status in (DocumentStatus.READY, DocumentStatus.FAILED):
                    return
                await bell.wait()

    async def ingestion(self, viewer: Viewer, bot_id: UUID) -> IngestionState:
        """Return how far the ingestion of a bot's documents is.

        Raises:
            NotFound: the viewer has no such bot.
        """
        viewer.must(Act.READ_DOCUMENTS)
        async with self.database.begin(viewer.workspaces) as session:
            bot = await bots.get(session, bot_id, reach=viewer.reach)
            if bot is None:
                raise NotFound("bot")
            counts = await repository.count_by_status(session, bot_id, reach=viewer.reach)
            processing = await repository.processing(session, bot_id, NAMED_DOCUMENTS, reach=viewer.reach)
        return IngestionState(counts, bot.ingestion_paused, tuple(processing))

    async def ingestion_progress(
        self, viewer: Viewer, bot_id: UUID, *, until_idle: bool
    ) -> AsyncGenerator[IngestionState, None]:
        """Yield how far a bot's documents are now, then at every change; with `until_idle` as long as anything happens.

        Raises:
            NotFound: the viewer has no such bot.
        """
        seen = None
        with self.changes.watch(ingestion_topic(bot_id)) as bell:
            while True:
                try:
                    state = await self.ingestion(viewer, bot_id)
                except NotFound:
                    if seen is None:
                        raise
                    return
                if state != seen:
                    seen = state
                    yield state
                if until_idle and state.is_idle:
                    return
                await bell.wait()
