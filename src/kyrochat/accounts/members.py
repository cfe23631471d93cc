"""Who belongs to a workspace, and as what. There is always an owner."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository as accounts
from kyrochat.accounts import workspace_repository as repository
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.accounts.workspaces import PersonalWorkspace, lock_workspace
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import User, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Conflict, NotFound


class LastOwner(Conflict):
    """Without this member the workspace would have no owner."""

    def __init__(self) -> None:
        super().__init__("A workspace needs an owner. Make somebody else owner first, or delete the workspace.")


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a workspace. `email` is None for those who may not see it."""

    user_id: UUID
    name: str
    email: str | None
    role: WorkspaceRole
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class MemberService:
    """What can be done with the members of a workspace."""

    database: Database
    changes: Changes

    async def page(self, viewer: Viewer, workspace_id: UUID, request: PageRequest) -> Page[Member]:
        """Return one page of a workspace's members, the newest account first.

        Raises:
            NotFound: the viewer does not belong to it.
        """
        viewer.must(Act.SEE_MEMBERS, workspace_id)
        async with self.database.begin() as session:
            found = await repository.member_page(session, workspace_id, request)
            users = await accounts.users_by_id(session, [row.user_id for row in found.rows])
        by_id = {user.id: user for user in users}
        # Whose account went between the two is left out.
        members = [_seen_by(viewer, row, by_id[row.user_id]) for row in found.rows if row.user_id in by_id]
        return Page(members, has_next=found.has_next, has_previous=found.has_previous)

    async def count(self, viewer: Viewer, workspace_id: UUID) -> int:
        """Return how many members `page` leads through."""
        viewer.must(Act.SEE_MEMBERS, workspace_id)
        async with self.database.begin() as session:
            return await repository.member_count(session, workspace_id)

    async def change_role(self, viewer: Viewer, workspace_id: UUID, user_id: UUID, role: WorkspaceRole) -> Member:
        """Give a member another role, which holds for his next operation, and return him.

        Raises:
            NotFound: the viewer does not belong to the workspace, or nobody of that id does.
            Forbidden: the viewer is not its owner.
            PersonalWorkspace: it is the member's personal one.
            LastOwner: nobody else owns it.
        """
        viewer.must(Act.MANAGE_MEMBERS, workspace_id)
        async with self.database.begin([workspace_id]) as session:
            await lock_workspace(session, viewer, workspace_id, Act.MANAGE_MEMBERS)
            member = await self._member(session, workspace_id, user_id)
            before = member.role
            if role is not before:
                await _must_not_be_needed(session, member)
                member.role = role
                session.add(member)
                record(
                    session,
                    AuditAct.MEMBER_ROLE_CHANGED,
                    viewer,
                    workspace_id=workspace_id,
                    subject_id=user_id,
                    details={"from": before, "to": role},
                )
                await self.changes.announce(session, [ACCESS_TOPIC])
            (user,) = await accounts.users_by_id(session, [user_id])
        return _seen_by(viewer, member, user)

    async def remove(self, viewer: Viewer, workspace_id: UUID, user_id: UUID) -> UUID:
        """Put a member out of a workspace, with the API keys that he made there, and return his id.

        What he made otherwise stays. He keeps his conversations, and finds them when he is let in again.

        Raises:
            NotFound, Forbidden, PersonalWorkspace, LastOwner: as for `change_role`.
        """
        viewer.must(Act.MANAGE_MEMBERS, workspace_id)
        async with self.database.begin([workspace_id]) as session:
            await lock_workspace(session, viewer, workspace_id, Act.MANAGE_MEMBERS)
            await self._end(session, viewer, await self._member(session, workspace_id, user_id))
        return user_id

    async def leave(self, viewer: Viewer, workspace_id: UUID) -> UUID:
        """Take the viewer out of a workspace, as `remove` does, and return its id.

        Raises:
            Forbidden: a key asks.
            NotFound, PersonalWorkspace, LastOwner: as for `change_role`.
        """
        viewer.must_be_person()
        async with self.database.begin([viewer.workspace(workspace_id)]) as session:
            await lock_workspace(session, viewer, workspace_id, None)
            await self._end(session, viewer, await self._member(session, workspace_id, viewer.user_id))
        return workspace_id

    async def _member(self, session: AsyncSession, workspace_id: UUID, user_id: UUID) -> WorkspaceMember:
        member = await repository.member(session, workspace_id, user_id)
        if member is None:
            raise NotFound("member")
        return member

    async def _end(self, session: AsyncSession, viewer: Viewer, member: WorkspaceMember) -> None:
        await _must_not_be_needed(session, member)
        # Or they would be good again as soon as he is back.
        await repository.revoke_keys(session, member.workspace_id, member.user_id)
        await session.delete(member)
        record(
            session,
            AuditAct.MEMBER_REMOVED,
            viewer,
            workspace_id=member.workspace_id,
            subject_id=member.user_id,
            details={"left": member.user_id == viewer.user_id},
        )
        await self.changes.announce(session, [ACCESS_TOPIC])


async def _must_not_be_needed(session: AsyncSession, member: WorkspaceMember) -> None:
    if member.is_personal:
        raise PersonalWorkspace("This is the member's personal workspace, whose owner he is as long as he is here.")
    is_owner = member.role is WorkspaceRole.OWNER
    if is_owner and not await repository.has_other_owner(session, member.workspace_id, member.user_id):
        raise LastOwner


def _seen_by(viewer: Viewer, member: WorkspaceMember, user: User) -> Member:
    """Show e-mail addresses to owners, who must know whom they let in, and to oneself; never to keys."""
    may_see = viewer.workspaces[member.workspace_id] is WorkspaceRole.OWNER or user.id == viewer.user_id
    email = user.email if may_see and viewer.key is None else None
    return Member(member.user_id, user.name, email, member.role, member.created_at)
