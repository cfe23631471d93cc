"""Queries on workspaces and their members. Whoever changes who belongs to one locks its row first."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import ApiKey, Invitation, User, Workspace, WorkspaceMember
from kyrochat.db.states import WorkspaceRole


async def by_id(session: AsyncSession, workspace_ids: Sequence[UUID]) -> Sequence[Workspace]:
    """Return those of the workspaces that exist, in no order."""
    return (await session.exec(select(Workspace).where(col(Workspace.id).in_(workspace_ids)))).all()


async def lock(session: AsyncSession, workspace_id: UUID) -> Workspace | None:
    """Return the workspace, whose members stay as they are until the transaction ends.

    Work in it goes on meanwhile: rows that refer to it can still be added.
    """
    query = select(Workspace).where(Workspace.id == workspace_id).with_for_update(key_share=True)
    return (await session.exec(query)).one_or_none()


async def member(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> WorkspaceMember | None:
    """Return the membership as it is now, or None."""
    query = select(WorkspaceMember).where(
        WorkspaceMember.workspace_id == workspace_id, WorkspaceMember.user_id == user_id
    )
    return (await session.exec(query)).one_or_none()


async def member_page(session: AsyncSession, workspace_id: UUID, request: PageRequest) -> Page[WorkspaceMember]:
    """Return one page of a workspace's members, the newest account first."""
    query = select(WorkspaceMember).where(WorkspaceMember.workspace_id == workspace_id)
    return await page(session, query, WorkspaceMember.user_id, request)


async def member_count(session: AsyncSession, workspace_id: UUID) -> int:
    """Return how many members a workspace has."""
    return (await session.exec(select(func.count()).where(WorkspaceMember.workspace_id == workspace_id))).one()


async def has_other_owner(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> bool:
    """Say whether somebody else owns the workspace whose account works."""
    query = (
        select(WorkspaceMember.user_id)
        .join(User, col(User.id) == WorkspaceMember.user_id)
        .where(
            WorkspaceMember.workspace_id == workspace_id,
            WorkspaceMember.user_id != user_id,
            WorkspaceMember.role == WorkspaceRole.OWNER,
            col(User.disabled_at).is_(None),
        )
    )
    return (await session.exec(query.limit(1))).first() is not None


async def owned_count(session: AsyncSession, user_id: UUID) -> int:
    """Return how many workspaces a user owns, alone or with others."""
    query = select(func.count()).where(WorkspaceMember.user_id == user_id, WorkspaceMember.role == WorkspaceRole.OWNER)
    return (await session.exec(query)).one()


async def is_personal(session: AsyncSession, workspace_id: UUID) -> bool:
    """Say whether the workspace is somebody's personal one."""
    query = select(WorkspaceMember.user_id).where(
        WorkspaceMember.workspace_id == workspace_id, col(WorkspaceMember.is_personal)
    )
    return (await session.exec(query.limit(1))).first() is not None


async def ids_of_user(session: AsyncSession, user_id: UUID) -> Sequence[UUID]:
    """Return the workspaces that a user belongs to now."""
    return (await session.exec(select(WorkspaceMember.workspace_id).where(WorkspaceMember.user_id == user_id))).all()


async def ids_after(session: AsyncSession, after: UUID | None, limit: int) -> Sequence[UUID]:
    """Return up to `limit` workspaces, whosever they are, the oldest first."""
    query = select(Workspace.id).order_by(col(Workspace.id)).limit(limit)
    if after is not None:
        query = query.where(col(Workspace.id) > after)
    return (await session.exec(query)).all()


async def end_memberships(session: AsyncSession, user_id: UUID) -> None:
    """Take a user out of all workspaces."""
    await session.exec(delete(WorkspaceMember).where(col(WorkspaceMember.user_id) == user_id))


async def revoke_keys(session: AsyncSession, workspace_id: UUID, user_id: UUID) -> None:
    """Revoke the API keys that a user has made in a workspace."""
    query = (
        update(ApiKey)
        .where(
            col(ApiKey.workspace_id) == workspace_id,
            col(ApiKey.created_by) == user_id,
            col(ApiKey.revoked_at).is_(None),
        )
        .values(revoked_at=func.now())
    )
    await session.exec(query)


async def shut(session: AsyncSession, workspace_id: UUID) -> None:
    """Let nobody reach the workspace any more: its members and invitations go, and with members their keys."""
    await session.exec(delete(Invitation).where(col(Invitation.workspace_id) == workspace_id))
    await session.exec(delete(WorkspaceMember).where(col(WorkspaceMember.workspace_id) == workspace_id))
