"""Reading the audit log: owners that of their workspaces, administrators that of the whole site."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from kyrochat.accounts import audit_repository
from kyrochat.accounts.audit_repository import Wanted
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import AuditEntry
from kyrochat.errors import Forbidden
from kyrochat.rules import Rules


@dataclass(frozen=True, slots=True)
class AuditReader:
    """What can be read of the audit log."""

    database: Database

    async def page(self, viewer: Viewer, wanted: Wanted, request: PageRequest) -> Page[AuditEntry]:
        """Return one page of entries, newest first.

        Without a workspace an administrator sees all entries, and everybody else those of the default workspace.

        Raises:
            InvalidInput: a time is out of range.
            NotFound: the viewer does not belong to the workspace.
            Forbidden: the viewer is no owner there, or a key that may not.
        """
        wanted = _readable(viewer, wanted)
        async with self.database.begin(viewer.workspaces, administers=_administers(viewer)) as session:
            return await audit_repository.page_of(session, wanted, request)

    async def count(self, viewer: Viewer, wanted: Wanted) -> int:
        """Return how many entries `page` leads through."""
        wanted = _readable(viewer, wanted)
        async with self.database.begin(viewer.workspaces, administers=_administers(viewer)) as session:
            return await audit_repository.count(session, wanted)

    async def many(self, viewer: Viewer, entry_ids: Sequence[UUID]) -> Sequence[AuditEntry]:
        """Return those of the entries that the viewer may read, in no order."""
        async with self.database.begin(viewer.workspaces, administers=_administers(viewer)) as session:
            found = await audit_repository.many(session, entry_ids)
        return [entry for entry in found if _may_read(viewer, entry)]

    async def key_names(self, keys: Collection[tuple[UUID, UUID]]) -> dict[UUID, str]:
        """Return what keys are called, given as (workspace, key) by entries that the viewer may read."""
        async with self.database.begin({workspace_id for workspace_id, _ in keys}) as session:
            return await audit_repository.key_names(session, {key_id for _, key_id in keys})


def _administers(viewer: Viewer) -> bool:
    return viewer.is_admin and viewer.key is None


def _readable(viewer: Viewer, wanted: Wanted) -> Wanted:
    rules = Rules()
    wanted = replace(wanted, since=rules.moment("since", wanted.since), until=rules.moment("until", wanted.until))
    rules.enforce()
    if _administers(viewer):
        return wanted
    workspace_id = viewer.workspace(wanted.workspace_id)
    viewer.must(Act.READ_AUDIT_LOG, workspace_id)
    return replace(wanted, workspace_id=workspace_id)


def _may_read(viewer: Viewer, entry: AuditEntry) -> bool:
    if _administers(viewer):
        return True
    if entry.workspace_id not in viewer.workspaces:
        return False
    try:
        viewer.must(Act.READ_AUDIT_LOG, entry.workspace_id)
    except Forbidden:
        return False
    return True
