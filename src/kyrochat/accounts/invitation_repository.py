"""Queries on invitations. Whoever brings a token begins the session with its hash as the `credential`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Invitation, User, WorkspaceMember
from kyrochat.db.states import WorkspaceRole


def _is_good() -> ColumnElement[bool]:
    """Whether it has not expired, and whoever made it might make it still; nobody made those of the operator."""
    owns = select(WorkspaceMember.user_id).where(
        WorkspaceMember.workspace_id == Invitation.workspace_id,
        WorkspaceMember.user_id == Invitation.created_by,
        WorkspaceMember.role == WorkspaceRole.OWNER,
    )
    active = select(User.id).where(User.id == Invitation.created_by, col(User.disabled_at).is_(None))
    of_site = col(Invitation.workspace_id).is_(None)
    return (col(Invitation.expires_at) > func.now()) & or_(
        of_site & (col(Invitation.created_by).is_(None) | active.where(col(User.is_admin)).exists()),
        ~of_site & owns.exists() & active.exists(),
    )


async def by_token(session: AsyncSession, hashed: bytes) -> Invitation | None:
    """Return the invitation of a token if it is good."""
    query = select(Invitation).where(Invitation.token_hash == hashed, _is_good())
    return (await session.exec(query)).one_or_none()


async def take(session: AsyncSession, hashed: bytes) -> Invitation | None:
    """Delete the invitation of a token if it is good, and return it: of those who come at once one gets it."""
    query = select(Invitation).where(Invitation.token_hash == hashed, _is_good()).with_for_update()
    found = (await session.exec(query)).one_or_none()
    if found is not None:
        await remove(session, found.id)
    return found


async def remove(session: AsyncSession, invitation_id: UUID) -> bool:
    """Delete an invitation; False when there is none."""
    return (await session.exec(delete(Invitation).where(col(Invitation.id) == invitation_id))).rowcount == 1


async def many(
    session: AsyncSession, invitation_ids: Sequence[UUID], *, workspaces: Sequence[UUID], site: bool
) -> Sequence[Invitation]:
    """Return those of the invitations that are into one of the workspaces, or, with `site`, to the server."""
    of_site = col(Invitation.workspace_id).is_(None) & site
    query = select(Invitation).where(
        col(Invitation.id).in_(invitation_ids), or_(col(Invitation.workspace_id).in_(workspaces), of_site)
    )
    return list(await session.exec(query))


async def get(
    session: AsyncSession, invitation_id: UUID, *, workspaces: Sequence[UUID], site: bool
) -> Invitation | None:
    """Return an invitation into one of the workspaces, or, with `site`, to the server."""
    found = await many(session, [invitation_id], workspaces=workspaces, site=site)
    return found[0] if found else None


async def page_of(session: AsyncSession, workspace_id: UUID | None, request: PageRequest) -> Page[Invitation]:
    """Return one page of what can still be accepted, newest first; without a workspace, of the server's."""
    query = select(Invitation).where(_of(workspace_id), _is_good())
    return await page(session, query, Invitation.id, request)


async def count(session: AsyncSession, workspace_id: UUID | None) -> int:
    """Return how many `page_of` leads through."""
    return (await session.exec(select(func.count()).select_from(Invitation).where(_of(workspace_id), _is_good()))).one()


async def forget_expired(session: AsyncSession, workspace_id: UUID | None) -> None:
    """Delete what has expired, with the addresses that it holds."""
    await session.exec(delete(Invitation).where(_of(workspace_id), col(Invitation.expires_at) <= func.now()))


def _of(workspace_id: UUID | None) -> ColumnElement[bool]:
    column = col(Invitation.workspace_id)
    return column.is_(None) if workspace_id is None else column == workspace_id
