"""The ways in and out of a server, side by side, as one person on one machine uses them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlmodel import col, select

from kyrochat.accounts.administration import Administration
from kyrochat.accounts.credentials import CredentialService
from kyrochat.accounts.principals import Principals
from kyrochat.accounts.registration import RegistrationService
from kyrochat.accounts.resets import PasswordResetService
from kyrochat.accounts.service import AccountService
from kyrochat.accounts.sessions import SessionService, SignedIn
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.accounts.workspaces import WorkspaceService
from kyrochat.db.engine import Database
from kyrochat.db.models import AuditEntry
from kyrochat.errors import Unauthenticated

PASSWORD = "correct horse battery"
LAPTOP = Client("192.0.2.1", "test")


@dataclass(frozen=True)
class Doors:
    """The services with a client and a password at hand."""

    database: Database
    accounts: AccountService
    workspaces: WorkspaceService
    registration: RegistrationService
    sessions: SessionService
    credentials: CredentialService
    resets: PasswordResetService
    users: Administration
    principals: Principals

    async def register(
        self, email: str = "ada@example.com", password: str = PASSWORD, name: str | None = None
    ) -> SignedIn:
        return await self.registration.register(email, password, LAPTOP, name=name)

    async def login(self, email: str = "ada@example.com", password: str = PASSWORD) -> SignedIn:
        return await self.sessions.login(email, password, LAPTOP)

    async def refresh(self, refresh_token: str) -> SignedIn:
        return await self.sessions.refresh(refresh_token, LAPTOP)

    async def enter(self, email: str = "ada@example.com") -> Viewer:
        """A new user, signed in."""
        return await self.viewer_of((await self.register(email)).access_token)

    async def is_open(self, signed_in: SignedIn) -> bool:
        """Whether a session's access token works."""
        try:
            await self.viewer_of(signed_in.access_token)
        except Unauthenticated:
            return False
        return True

    async def viewer_of(self, access_token: str) -> Viewer:
        """The viewer that an access token makes, by the way that every operation takes."""
        return await self.principals.load(f"Bearer {access_token}", LAPTOP)


class Entry(NamedTuple):
    """What the audit log says of one act."""

    act: str
    actor_id: UUID | None
    subject_id: UUID | None
    address: str | None
    details: Mapping[str, Any]


async def entries(database: Database) -> list[Entry]:
    """Return what the audit log of the site says, the oldest entry first."""
    async with database.begin(administers=True) as session:
        rows = (await session.exec(select(AuditEntry).order_by(col(AuditEntry.id)))).all()
    return [Entry(row.act, row.actor_id, row.subject_id, row.address, row.details) for row in rows]


async def acts(database: Database) -> list[str]:
    """Return the names of the acts in the audit log, the oldest first."""
    return [entry.act for entry in await entries(database)]
