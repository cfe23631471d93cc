"""Invitations by link: into a workspace, by its owners, or to the server, by its administrators."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import invitation_repository as repository
from kyrochat.accounts import repository as accounts
from kyrochat.accounts import workspace_repository as workspaces
from kyrochat.accounts.account_rules import check_email, normal_email
from kyrochat.accounts.admission import join, take_invitation
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.tokens import INVITATION_PREFIX, new_secret, secret_hash
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.accounts.workspaces import lock_workspace
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database, widen
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Invitation, Workspace
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Conflict, Forbidden, NotFound, QuotaExceeded, Unauthenticated
from kyrochat.rules import Rules

PAGE = "/invitation"
DEFAULT_DAYS = 7
MAX_DAYS = 30
MAX_OPEN = 500


class MemberAlready(Conflict):
    """Who accepts belongs to the workspace; the invitation is kept for somebody else."""

    def __init__(self) -> None:
        super().__init__("You belong to this workspace already.")


@dataclass(frozen=True, slots=True)
class InvitationLink:
    """An invitation with its token, which is shown only here."""

    invitation: Invitation
    token: str = field(repr=False)
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Preview:
    """What whoever has the link may know before he accepts. Without a workspace it is for the server."""

    workspace_name: str | None
    role: WorkspaceRole | None


@dataclass(frozen=True, slots=True)
class InvitationService:
    """What can be done with invitations."""

    database: Database
    changes: Changes
    # Where people reach this server, without a slash at the end.
    public_url: str

    async def create(
        self,
        viewer: Viewer,
        workspace_id: UUID | None,
        role: WorkspaceRole = WorkspaceRole.VIEWER,
        email: str | None = None,
        expires_in_days: int = DEFAULT_DAYS,
    ) -> InvitationLink:
        """Invite one person into a workspace: whoever has the link, or only the one with that e-mail address.

        Without a workspace, to make an account on this server: see `create_for_site`.

        Raises:
            InvalidInput: the address is none, or the days are out of range.
            NotFound: the viewer does not belong to the workspace.
            Forbidden: the viewer is not its owner.
            QuotaExceeded: too many invitations are open.
        """
        if workspace_id is None:
            if viewer.key is None and not viewer.is_admin:
                raise Forbidden("Name the workspace: only administrators invite to the server itself.")
            return await self.create_for_site(viewer, email, expires_in_days)
        email = _checked(email, expires_in_days)
        viewer.must(Act.MANAGE_MEMBERS, workspace_id)
        async with self.database.begin([workspace_id]) as session:
            await lock_workspace(session, viewer, workspace_id, Act.MANAGE_MEMBERS)
            return await self._add(session, viewer, workspace_id, role, email, expires_in_days)

    async def create_for_site(
        self, by: Viewer | Operator, email: str | None = None, expires_in_days: int = DEFAULT_DAYS
    ) -> InvitationLink:
        """Invite one person to make an account on this server.

        Raises:
            InvalidInput: the address is none, or the days are out of range.
            Forbidden: the viewer does not administer the server.
            QuotaExceeded: too many invitations are open.
        """
        email = _checked(email, expires_in_days)
        by.must_administer()
        async with self.database.begin(administers=True) as session:
            return await self._add(session, by, None, WorkspaceRole.VIEWER, email, expires_in_days)

    async def page(self, viewer: Viewer, workspace_id: UUID | None, request: PageRequest) -> Page[Invitation]:
        """Return one page of the invitations that can still be accepted; without a workspace, of the server's.

        Raises:
            NotFound: the viewer does not belong to the workspace.
            Forbidden: the viewer is not its owner, or not the server's administrator.
        """
        async with self._seeing(viewer, workspace_id) as session:
            return await repository.page_of(session, workspace_id, request)

    async def count(self, viewer: Viewer, workspace_id: UUID | None) -> int:
        """Return how many invitations `page` leads through."""
        async with self._seeing(viewer, workspace_id) as session:
            return await repository.count(session, workspace_id)

    async def many(self, viewer: Viewer, invitation_ids: Sequence[UUID]) -> Sequence[Invitation]:
        """Return those of the invitations that the viewer may revoke, in no order."""
        if viewer.key is not None:
            return []
        owned = [each for each, role in viewer.workspaces.items() if Act.MANAGE_MEMBERS.allows(role)]
        async with self.database.begin(owned, administers=viewer.is_admin) as session:
            return await repository.many(session, invitation_ids, workspaces=owned, site=viewer.is_admin)

    async def get(self, viewer: Viewer, invitation_id: UUID) -> Invitation | None:
        """Return an invitation, or None unless the viewer may revoke it."""
        found = await self.many(viewer, [invitation_id])
        return found[0] if found else None

    async def revoke(self, viewer: Viewer, invitation_id: UUID) -> UUID:
        """Make an invitation worthless, and return its id.

        Raises:
            NotFound: there is none, it was accepted, or the viewer may not revoke it.
            Forbidden: a key asks.
        """
        viewer.must(Act.MANAGE_MEMBERS)
        if await self.get(viewer, invitation_id) is None:
            raise NotFound("invitation")
        async with self.database.begin(viewer.workspaces, administers=viewer.is_admin) as session:
            found = await repository.get(
                session, invitation_id, workspaces=list(viewer.workspaces), site=viewer.is_admin
            )
            if found is None:
                raise NotFound("invitation")
            if found.workspace_id is not None:
                await lock_workspace(session, viewer, found.workspace_id, Act.MANAGE_MEMBERS)
            if not await repository.remove(session, invitation_id):
                raise NotFound("invitation")  # accepted meanwhile
            record(
                session,
                AuditAct.INVITATION_REVOKED,
                viewer,
                workspace_id=found.workspace_id,
                of=("Invitation", invitation_id),
            )
        return invitation_id

    async def preview(self, token: str) -> Preview | None:
        """Return what an invitation is for, or None when it is not good."""
        hashed = secret_hash(token)
        async with self.database.begin(credential=hashed) as session:
            found = await repository.by_token(session, hashed)
            if found is None:
                return None
            if found.workspace_id is None:
                return Preview(None, None)
            rows = await workspaces.by_id(session, [found.workspace_id])
        return Preview(rows[0].name, found.role) if rows else None

    async def accept(self, viewer: Viewer, token: str) -> tuple[Workspace, WorkspaceRole]:
        """Let the viewer into the workspace that he is invited to; return it, and what he is in it.

        Raises:
            Forbidden: a key asks.
            NotFound: the invitation is unknown, used, revoked or expired, for another address, or to the server.
            MemberAlready: the viewer belongs to the workspace; the invitation stays good.
        """
        viewer.must_be_person()
        hashed = secret_hash(token)
        async with self.database.begin(credential=hashed) as session:
            users = await accounts.users_by_id(session, [viewer.user_id])
            if not users:
                raise Unauthenticated("The account is gone.")
            invitation = await take_invitation(session, hashed, users[0].email)
            if invitation is None or invitation.workspace_id is None:
                raise NotFound("invitation")
            if not await join(session, invitation, viewer.user_id):
                raise MemberAlready
            await widen(session, invitation.workspace_id)
            record(
                session,
                AuditAct.INVITATION_ACCEPTED,
                viewer,
                workspace_id=invitation.workspace_id,
                of=("Invitation", invitation.id),
                details={"role": invitation.role},
            )
            await self.changes.announce(session, [ACCESS_TOPIC])
            (workspace,) = await workspaces.by_id(session, [invitation.workspace_id])
        return workspace, invitation.role

    @asynccontextmanager
    async def _seeing(self, viewer: Viewer, workspace_id: UUID | None) -> AsyncGenerator[AsyncSession, None]:
        if workspace_id is None:
            viewer.must_administer()
        else:
            viewer.must(Act.MANAGE_MEMBERS, workspace_id)
        seen = [] if workspace_id is None else [workspace_id]
        async with self.database.begin(seen, administers=workspace_id is None) as session:
            yield session

    async def _add(
        self,
        session: AsyncSession,
        by: Viewer | Operator,
        workspace_id: UUID | None,
        role: WorkspaceRole,
        email: str,
        expires_in_days: int,
    ) -> InvitationLink:
        await repository.forget_expired(session, workspace_id)
        if await repository.count(session, workspace_id) >= MAX_OPEN:
            raise QuotaExceeded(
                f"There are {MAX_OPEN} open invitations, the most that there may be. Revoke some first."
            )
        token = new_secret(INVITATION_PREFIX)
        invitation = Invitation(
            workspace_id=workspace_id,
            role=role,
            email=email,
            token_hash=secret_hash(token),
            created_by=by.user_id if isinstance(by, Viewer) else None,
            expires_at=datetime.now(UTC) + timedelta(days=expires_in_days),
        )
        session.add(invitation)
        await session.flush()
        await session.refresh(invitation)
        record(
            session,
            AuditAct.INVITATION_CREATED,
            by,
            workspace_id=workspace_id,
            of=("Invitation", invitation.id),
            details={"role": role, "for_one_address": bool(email)},
        )
        # After the #: browsers keep that to themselves, so it is in no log of a server or a proxy.
        return InvitationLink(invitation, token, f"{self.public_url}{PAGE}#{token}")


def _checked(email: str | None, expires_in_days: int) -> str:
    """Return the address, '' for none."""
    rules = Rules()
    email = normal_email(email or "")
    if email:
        check_email(rules, "email", email)
    rules.number("expiresInDays", expires_in_days, least=1, most=MAX_DAYS)
    rules.enforce()
    return email
