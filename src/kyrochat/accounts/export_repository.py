"""Queries on what accounts hold of a person, for an export."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.models import ApiKey, AuditEntry, UserSession, Workspace, WorkspaceMember


async def sessions(session: AsyncSession, user_id: UUID) -> Sequence[UserSession]:
    """Return the sessions of a user that are still stored, the oldest first."""
    query = select(UserSession).where(UserSession.user_id == user_id).order_by(col(UserSession.id))
    return (await session.exec(query)).all()


async def memberships(session: AsyncSession, user_id: UUID) -> Sequence[tuple[WorkspaceMember, Workspace]]:
    """Return the workspaces of a user, and what he is in them, the oldest first."""
    query = (
        select(WorkspaceMember, Workspace)
        .join(Workspace, col(Workspace.id) == WorkspaceMember.workspace_id)
        .where(WorkspaceMember.user_id == user_id)
        .order_by(col(Workspace.id))
    )
    return (await session.exec(query)).all()


async def keys(session: AsyncSession, user_id: UUID, workspaces: Sequence[UUID]) -> Sequence[ApiKey]:
    """Return the API keys that a user made in these workspaces, the oldest first."""
    query = (
        select(ApiKey)
        .where(ApiKey.created_by == user_id, col(ApiKey.workspace_id).in_(workspaces))
        .order_by(col(ApiKey.id))
    )
    return (await session.exec(query)).all()


async def audit_entries(session: AsyncSession, user_id: UUID, after: UUID | None, limit: int) -> Sequence[AuditEntry]:
    """Return entries on what a user did, or what was done to him, the oldest first."""
    query = select(AuditEntry).where(or_(col(AuditEntry.actor_id) == user_id, col(AuditEntry.subject_id) == user_id))
    if after is not None:
        query = query.where(col(AuditEntry.id) > after)
    return (await session.exec(query.order_by(col(AuditEntry.id)).limit(limit))).all()
