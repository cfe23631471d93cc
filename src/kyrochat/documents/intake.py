"""Takes in a document's bytes: a file and a row, or neither, within what the workspace may hold."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Document
from kyrochat.db.states import DocumentStage, DocumentStatus
from kyrochat.db.tenancy import Reach
from kyrochat.documents import repository
from kyrochat.documents.kinds import INGEST, queue_job
from kyrochat.documents.storage import FileStore, Stored
from kyrochat.errors import Conflict, NotFound, QuotaExceeded

MIB = 1 << 20

log = logging.getLogger(__name__)


class SameContent(Conflict):
    """The bot has a document of the very same content."""

    def __init__(self, title: str, document_id: UUID | None = None) -> None:
        super().__init__(f"This bot has the same content already, as the document {title!r}.")
        self.title = title
        # None when it was deleted in this moment.
        self.document_id = document_id


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a workspace may hold of documents that are not deleted; 0: as much as there is room for."""

    max_bytes: int = 0
    max_documents: int = 0

    def check(self, documents: int, size: int) -> None:
        """Check what a workspace would hold.

        Raises:
            QuotaExceeded: it is too much.
        """
        if self.max_documents and documents > self.max_documents:
            raise QuotaExceeded(
                f"A workspace holds at most {self.max_documents:,} documents. Delete some that are not needed."
            )
        if self.max_bytes and size > self.max_bytes:
            raise QuotaExceeded(
                f"A workspace holds at most {self.max_bytes / MIB:,g} MiB of documents, and with this one it would "
                f"hold {size / MIB:,.1f}. Delete some that are not needed."
            )


UNLIMITED = Quota()


@dataclass(frozen=True, slots=True)
class Intake:
    """Stores new documents and new versions, and queues their ingestion."""

    database: Database
    changes: Changes
    store: FileStore
    max_bytes: int
    quota: Quota

    async def add(self, document: Document, content: AsyncIterator[bytes]) -> Document:
        """Store a new document; its row says all but the size, the hash and where the file is.

        Raises:
            InvalidInput: it is too large.
            NotFound: its bot was deleted meanwhile.
            QuotaExceeded: the workspace is full.
            SameContent: the bot has this content.
        """
        # Told before anything is sent to the store, and once more below, when the size is known.
        async with self.database.begin([document.workspace_id]) as session:
            await check_room(session, self.quota, document.workspace_id)

        async def keep(session: AsyncSession, stored: Stored, key: str) -> Document:
            document.byte_size, document.content_hash, document.storage_key = stored.size, stored.sha256, key
            session.add(document)
            return document

        return await self._take_in(document, content, keep)

    async def replace(
        self, viewer: Viewer, document: Document, media_type: str, title: str | None, content: AsyncIterator[bytes]
    ) -> Document:
        """Store new content as the document's next version; the one before is searched until it has been read.

        Raises:
            InvalidInput, QuotaExceeded, SameContent: as for `add`.
            NotFound: it was deleted meanwhile.
        """

        async def keep(session: AsyncSession, stored: Stored, key: str) -> Document:
            current = await repository.get(session, document.id, reach=Reach.of(document.workspace_id), for_update=True)
            if current is None:
                raise NotFound("document")
            if current.content_hash == stored.sha256:
                raise SameContent(current.title, current.id)
            # Needed until the new version is live: then its sweep deletes it.
            current.stale_files = [*current.stale_files, current.storage_key]
            current.byte_size, current.content_hash, current.storage_key = stored.size, stored.sha256, key
            current.media_type, current.title = media_type, title or current.title
            current.version += 1
            start_over(current)
            session.add(current)
            record(
                session,
                AuditAct.DOCUMENT_REPLACED,
                viewer,
                workspace_id=current.workspace_id,
                of=("Document", current.id),
                details={"version": current.version},
            )
            return current

        return await self._take_in(document, content, keep)

    async def _take_in(
        self,
        document: Document,
        content: AsyncIterator[bytes],
        keep: Callable[[AsyncSession, Stored, str], Awaitable[Document]],
    ) -> Document:
        # A name of its own for each try: two that replace the same document at once must not share a file.
        # Taken first: a row whose refresh was broken off says nothing any more.
        workspace_id, bot_id, document_id = document.workspace_id, document.bot_id, document.id
        key = f"{workspace_id}/{document_id}/{new_id()}"
        stored = Stored(0, b"")
        try:
            stored = await self.store.put(key, content, self.max_bytes)
            async with self.database.begin([workspace_id]) as session:
                # Storing took its time. From here the bot's purge comes after this row, and so finds the file.
                if not await bots.keep(session, bot_id, reach=Reach.of(workspace_id)):
                    raise NotFound("bot")
                kept = await keep(session, stored, key)
                await session.flush()
                await check_room(session, self.quota, workspace_id)
                await session.refresh(kept)
                await queue_job(session, self.changes, INGEST, kept)
        except BaseException as error:
            # Whatever it was, also the client's leaving: a file without a row would stay for ever.
            try:
                await asyncio.shield(self._delete_unless_kept(workspace_id, document_id, key))
            except Exception as second:
                log.warning("The file of a refused document stays (%s)", type(second).__name__)
            if isinstance(error, IntegrityError) and "documents_bot_id_content_hash_key" in str(error.orig):
                raise await self._same_content(workspace_id, bot_id, stored.sha256) from error
            raise
        return kept

    async def _delete_unless_kept(self, workspace_id: UUID, document_id: UUID, key: str) -> None:
        """Delete the file unless a row points to it: only the commit's answer may have been lost."""
        async with self.database.begin([workspace_id]) as session:
            is_kept = await repository.has_file(session, document_id, key)
        if not is_kept:
            await self.store.delete(key)

    async def _same_content(self, workspace_id: UUID, bot_id: UUID, content_hash: bytes) -> SameContent:
        async with self.database.begin([workspace_id]) as session:
            document = await repository.by_content(session, bot_id, content_hash)
        return SameContent(document.title, document.id) if document else SameContent("that was deleted just now")


async def check_room(session: AsyncSession, quota: Quota, workspace_id: UUID) -> None:
    """Check what a workspace holds, with what the transaction has added.

    Raises:
        QuotaExceeded: it is too much.
    """
    if quota.max_bytes or quota.max_documents:
        # One after the other, so that two at once cannot both be the last that fits.
        await repository.lock_quota(session, workspace_id)
        quota.check(*await repository.held(session, workspace_id))


def start_over(document: Document) -> None:
    """Set the document's row to the beginning of an ingestion."""
    document.status, document.stage, document.progress = DocumentStatus.QUEUED, DocumentStage.WAITING, 0.0
    document.failure, document.attempts, document.next_attempt_at = None, 0, None
