"""Compares what is stored in three places, rows, files and vectors, and finds what is on one side only.

Crashes and outages between two of them leave such orphans. None of them is ever answered from, since rows decide
what is found; they cost room, or, the other way round, a document is found less well than it could be.
"""

import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.documents import reconcile_repository as rows
from kyrochat.documents.intake import read_again
from kyrochat.documents.storage import FileStore
from kyrochat.retrieval.ports import VectorLedger

# A file comes before its row: a younger one may still get it.
YOUNG = timedelta(hours=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orphans:
    """What of one workspace is on one side only; `workspace_id` is None for files of none that exists."""

    workspace_id: UUID | None
    files_without_rows: tuple[str, ...] = ()
    rows_without_files: tuple[UUID, ...] = ()
    vectors_without_rows: tuple[UUID, ...] = ()
    rows_without_vectors: tuple[UUID, ...] = ()
    chunks_of_no_version: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self != Orphans(self.workspace_id)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Looks at all workspaces, one after the other."""

    database: Database
    changes: Changes
    store: FileStore
    vectors: VectorLedger | None = None
    young: timedelta = field(default=YOUNG)

    async def find(self) -> AsyncGenerator[Orphans, None]:
        """Yield the orphans of each workspace that has any.

        Raises:
            ProviderUnavailable: the vector index does not answer.
        """
        async with self.database.begin() as session:
            workspaces = await rows.workspace_ids(session)
        for workspace_id in workspaces:
            if orphans := await self._of(workspace_id):
                yield orphans
        known = {str(workspace_id) for workspace_id in workspaces}
        if strays := [key for key in await self._old_files("") if key.partition("/")[0] not in known]:
            yield Orphans(None, files_without_rows=tuple(strays))

    async def repair(self, orphans: Orphans) -> None:
        """Delete files and vectors without rows, and have documents whose vectors are missing read again.

        A document whose file is missing cannot be helped: it stays as it is, and is found as before.

        Raises:
            ProviderUnavailable: the vector index does not answer.
        """
        for key in orphans.files_without_rows:
            await self.store.delete(key)
        if orphans.workspace_id is None:
            return
        if self.vectors is not None and orphans.vectors_without_rows:
            await self.vectors.delete_chunks(orphans.workspace_id, orphans.vectors_without_rows)
        async with self.database.begin([orphans.workspace_id]) as session:
            await rows.delete_stale_chunks(session, orphans.workspace_id)
        for document_id in orphans.rows_without_vectors:
            async with self.database.begin([orphans.workspace_id]) as session:
                await read_again(session, self.changes, orphans.workspace_id, document_id)

    async def _of(self, workspace_id: UUID) -> Orphans:
        old_files = await self._old_files(f"{workspace_id}/")
        # The rows after the files: a row that came meanwhile explains its file, and one that went is no orphan's.
        async with self.database.begin([workspace_id]) as session:
            wanted = await rows.files(session, workspace_id)
            needed = await rows.files_needed(session, workspace_id)
            stale = await rows.count_stale_chunks(session, workspace_id)
        missing = [document_id for key, document_id in needed.items() if not await self.store.exists(key)]
        orphans = Orphans(
            workspace_id,
            files_without_rows=tuple(key for key in old_files if key not in wanted),
            rows_without_files=tuple(missing),
            chunks_of_no_version=stale,
        )
        return orphans if self.vectors is None else await self._with_vectors(orphans, workspace_id, self.vectors)

    async def _with_vectors(self, orphans: Orphans, workspace_id: UUID, vectors: VectorLedger) -> Orphans:
        # The other way round: rows come before their vectors, and go after them.
        stored = {chunk_id async for chunk_id in vectors.chunks(workspace_id)}
        async with self.database.begin([workspace_id]) as session:
            chunks = await rows.chunks(session, workspace_id)
        async with self.database.begin([workspace_id]) as session:
            live = await rows.live_chunks(session, workspace_id)
        without = {document_id for chunk_id, document_id in live.items() if chunk_id not in stored}
        return replace(
            orphans,
            vectors_without_rows=tuple(sorted(stored - chunks)),
            rows_without_vectors=tuple(sorted(without)),
        )

    async def _old_files(self, prefix: str) -> list[str]:
        latest = datetime.now(UTC) - self.young
        return [key for key, changed_at in await self.store.files(prefix) if changed_at <= latest]
