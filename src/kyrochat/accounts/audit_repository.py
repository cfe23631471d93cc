"""Queries on the audit log."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import ApiKey, AuditEntry

# Ids hold the time of the process that made them, `created_at` the database's: clocks may differ by that much.
_CLOCKS_DIFFER = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; what is empty or None says nothing. `since` is inclusive, `until` exclusive."""

    workspace_id: UUID | None = None
    acts: Collection[str] = ()
    actor_id: UUID | None = None
    # A user whom something was done to is a `User`.
    of: tuple[str, UUID] | None = None
    since: datetime | None = None
    until: datetime | None = None


async def page_of(session: AsyncSession, wanted: Wanted, request: PageRequest) -> Page[AuditEntry]:
    """Return one page of entries, newest first, of those that the session may see."""
    return await page(session, entries(wanted), AuditEntry.id, request)


async def count(session: AsyncSession, wanted: Wanted) -> int:
    """Return how many entries `page_of` leads through."""
    return (await session.exec(select(func.count()).select_from(entries(wanted).subquery()))).one()


async def many(session: AsyncSession, entry_ids: Sequence[UUID]) -> Sequence[AuditEntry]:
    """Return those of the entries that the session may see, in no order."""
    return (await session.exec(select(AuditEntry).where(col(AuditEntry.id).in_(entry_ids)))).all()


async def key_names(session: AsyncSession, key_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return what the keys are called that still have a row. The session must see their workspaces."""
    return dict((await session.exec(select(ApiKey.id, ApiKey.name).where(col(ApiKey.id).in_(key_ids)))).all())


def entries(wanted: Wanted) -> SelectOfScalar[AuditEntry]:
    """Return the query of which `page_of` takes a page."""
    query = select(AuditEntry)
    if wanted.workspace_id is not None:
        query = query.where(AuditEntry.workspace_id == wanted.workspace_id)
    if wanted.acts:
        query = query.where(col(AuditEntry.act).in_(sorted(wanted.acts)))
    if wanted.actor_id is not None:
        query = query.where(AuditEntry.actor_id == wanted.actor_id)
    if wanted.of is not None:
        kind, row_id = wanted.of
        query = (
            query.where(AuditEntry.subject_id == row_id)
            if kind == "User"
            else query.where(AuditEntry.object_id == row_id, AuditEntry.object_type == kind)
        )
    # The ids bound how much of an index is read, the times say what is meant.
    if wanted.since is not None:
        query = query.where(AuditEntry.id >= _first_id(wanted.since - _CLOCKS_DIFFER))
        query = query.where(AuditEntry.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEntry.id < _first_id(wanted.until + _CLOCKS_DIFFER))
        query = query.where(AuditEntry.created_at < wanted.until)
    return query


def _first_id(moment: datetime) -> UUID:
    """Return the least UUIDv7 of a moment: it begins with the milliseconds since 1970."""
    return UUID(int=(moment - _EPOCH) // timedelta(milliseconds=1) << 80)
