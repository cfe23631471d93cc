"""A person's data as one archive: what an export link is, who may follow it, and what of accounts is inside."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kyrochat.accounts import export_repository as repository
from kyrochat.accounts import repository as accounts
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.tokens import Tokens
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.accounts.zip_stream import Entry, json_entry, json_list, zip_pieces
from kyrochat.db.engine import Database
from kyrochat.db.models import ApiKey, AuditEntry, User, UserSession, Workspace, WorkspaceMember
from kyrochat.errors import Overloaded, Unauthenticated
from kyrochat.rates.limits import EXPORTS_PER_USER
from kyrochat.rates.service import NO_LIMITS, Rates

PATH = "/account/export"
MAX_AT_ONCE = 4
AUDIT_PAGE = 500

# What a room has of a person. It holds no transaction while what it yields is on its way to a slow reader.
Part = Callable[[Viewer], AsyncGenerator[Entry, None]]


@dataclass(frozen=True, slots=True)
class ExportLink:
    """Where the archive can be fetched from, by whoever has this link, until it expires."""

    url: str = field(repr=False)
    expires_at: datetime


@dataclass(slots=True)
class ExportService:
    """What can be done with exports."""

    database: Database
    tokens: Tokens
    # Where people reach this server, without a slash at the end.
    public_url: str
    # The rooms above, in the order of the archive.
    parts: Sequence[Part] = ()
    rates: Rates = NO_LIMITS
    _running: int = 0

    async def link(self, viewer: Viewer) -> ExportLink:
        """Return a link to the archive of the viewer's data, good for a few minutes and for nothing else.

        Raises:
            Forbidden: a key asks.
            RateLimited: too many were asked for.
        """
        viewer.must_be_person()
        if viewer.session_id is None:
            raise Unauthenticated
        await self.rates.charge(EXPORTS_PER_USER, str(viewer.user_id))
        token, expires_at = self.tokens.export_token(viewer.user_id, viewer.session_id)
        async with self.database.begin() as session:
            record(session, AuditAct.ACCOUNT_EXPORTED, viewer, subject_id=viewer.user_id)
        return ExportLink(f"{self.public_url}{PATH}?token={token}", expires_at)

    async def viewer_of(self, token: str) -> Viewer:
        """Return whose archive a link leads to.

        Raises:
            Unauthenticated: it is not a link's token, or has expired, or the session that asked for it has ended.
            RateLimited: he has fetched too many.
        """
        claims = self.tokens.read_export_token(token)
        async with self.database.begin() as session:
            viewer = await accounts.account_of_session(session, claims.session_id, claims.user_id)
        if viewer is None:
            raise Unauthenticated("The session that asked for this link has ended. Sign in, and ask for another one.")
        await self.rates.charge(EXPORTS_PER_USER, str(viewer.user_id))
        return viewer

    async def note(self, by: Operator, viewer: Viewer) -> None:
        """Write down that the operator exports somebody's data."""
        async with self.database.begin() as session:
            record(session, AuditAct.ACCOUNT_EXPORTED, by, subject_id=viewer.user_id)

    async def archive(self, viewer: Viewer) -> AsyncGenerator[bytes, None]:
        """Yield a ZIP archive of what the viewer's account has and made, in pieces.

        Raises:
            Overloaded: too many archives are being written; before the first piece.
        """
        if self._running >= MAX_AT_ONCE:
            raise Overloaded("Too many exports are under way. Try again in a minute.")
        self._running += 1
        try:
            async with aclosing(self._entries(viewer)) as entries, aclosing(zip_pieces(entries)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._running -= 1

    async def _entries(self, viewer: Viewer) -> AsyncGenerator[Entry, None]:
        async with self.database.begin() as session:
            (user,) = await accounts.users_by_id(session, [viewer.user_id])
            sessions = await repository.sessions(session, user.id)
            memberships = await repository.memberships(session, user.id)
        async with self.database.begin(viewer.workspaces) as session:
            keys = await repository.keys(session, user.id, list(viewer.workspaces))
        yield json_entry("account.json", _user(user, sessions))
        yield json_entry("workspaces.json", [_membership(*each) for each in memberships])
        yield json_entry("api-keys.json", [_key(key) for key in keys])
        yield Entry("audit-log.json", json_list(self._audit_entries(viewer)))
        for part in self.parts:
            async for entry in part(viewer):
                yield entry

    async def _audit_entries(self, viewer: Viewer) -> AsyncGenerator[object, None]:
        after = None
        while True:
            # The site's entries can be seen by its administrators only; the query leaves none but the viewer's own.
            async with self.database.begin(viewer.workspaces, administers=True) as session:
                rows = await repository.audit_entries(session, viewer.user_id, after, AUDIT_PAGE)
            for row in rows:
                yield _audit_entry(row, viewer)
            if len(rows) < AUDIT_PAGE:
                return
            after = rows[-1].id


def _user(user: User, sessions: Sequence[UserSession]) -> Mapping[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "isAdmin": user.is_admin,
        "createdAt": user.created_at,
        "sessions": [
            {
                "createdAt": row.created_at,
                "refreshedAt": row.refreshed_at,
                "expiresAt": row.expires_at,
                "endedAt": row.revoked_at,
                "address": row.address,
                "userAgent": row.user_agent,
            }
            for row in sessions
        ],
    }


def _membership(member: WorkspaceMember, workspace: Workspace) -> Mapping[str, Any]:
    return {
        "id": workspace.id,
        "name": workspace.name,
        "role": member.role,
        "isPersonal": member.is_personal,
        "joinedAt": member.created_at,
        "createdAt": workspace.created_at,
    }


def _key(key: ApiKey) -> Mapping[str, Any]:
    return {
        "id": key.id,
        "workspaceId": key.workspace_id,
        "botId": key.bot_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "allowedOrigins": key.allowed_origins,
        "dailyTokenBudget": key.daily_token_budget,
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "lastUsedAt": key.last_used_at,
        "revokedAt": key.revoked_at,
    }


def _audit_entry(row: AuditEntry, viewer: Viewer) -> Mapping[str, Any]:
    by_you = row.actor_id == viewer.user_id
    # Of what somebody else did to the person it is not said from where: that is his, too.
    is_own_address = by_you or row.actor_id is None
    return {
        "at": row.created_at,
        "act": row.act,
        "byYou": by_you,
        "toYou": row.subject_id == viewer.user_id,
        "workspaceId": row.workspace_id,
        "apiKeyId": row.api_key_id if by_you else None,
        "objectType": row.object_type,
        "objectId": row.object_id,
        "address": row.address if is_own_address else None,
        "details": row.details,
    }
