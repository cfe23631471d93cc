"""Compares what is stored in three places, rows, files and vectors, and finds what is on one side only.

Crashes and outages between two of them leave such orphans. None of them is ever answered from, since rows decide
what is found; they cost room, or, the other way round, a document is found less well than it could be.
"""

import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kyrochat.db.engine import Database
from kyrochat.documents import reconcile_repository as rows
from kyrochat.documents.storage import FileStore
from kyrochat.retrieval.ports import StoredVector
from kyrochat.retrieval.vector_check import VectorCheck, VectorDifferences

# A file comes before its row: a younger one may still get it.
YOUNG = timedelta(hours=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orphans:
    """What of one workspace is on one side only; `workspace_id` is None for files of none that exists."""

    workspace_id: UUID | None
    files_without_rows: tuple[str, ...] = ()
    rows_without_files: tuple[UUID, ...] = ()
    vectors_without_rows: tuple[StoredVector, ...] = ()
    # Of documents whose passages lack some.
    rows_without_vectors: tuple[UUID, ...] = ()
    # By set: of chunks whose rows say that they are stored.
    vectors_lost: tuple[tuple[int, UUID], ...] = ()
    chunks_of_no_version: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self != Orphans(self.workspace_id)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Looks at all workspaces, one after the other."""

    database: Database
    store: FileStore
    vectors: VectorCheck | None = None
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
        """Delete files and vectors without rows, and make vectors that are missing.

        A document whose file is missing cannot be helped: it stays as it is, and is found as before.

        Raises:
            ProviderUnavailable: the vector index does not answer.
        """
        for key in orphans.files_without_rows:
            await self.store.delete(key)
        if orphans.workspace_id is None:
            return
        async with self.database.begin([orphans.workspace_id]) as session:
            await rows.delete_stale_chunks(session, orphans.workspace_id)
        if self.vectors is not None:
            found = VectorDifferences(orphans.vectors_without_rows, orphans.vectors_lost, orphans.rows_without_vectors)
            await self.vectors.mend(orphans.workspace_id, found)

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
        if self.vectors is None:
            return orphans
        found = await self.vectors.find(workspace_id)
        return replace(
            orphans,
            vectors_without_rows=found.strays,
            rows_without_vectors=found.incomplete,
            vectors_lost=found.lost,
        )

    async def _old_files(self, prefix: str) -> list[str]:
        latest = datetime.now(UTC) - self.young
        return [key for key, changed_at in await self.store.files(prefix) if changed_at <= latest]
