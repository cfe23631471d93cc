"""The ways in and out of a server, side by side, as one person on one machine uses them."""

from dataclasses import dataclass

from kyrochat.accounts.principals import Principals
from kyrochat.accounts.registration import RegistrationService
from kyrochat.accounts.service import AccountService
from kyrochat.accounts.sessions import SessionService, SignedIn
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.db.engine import Database

PASSWORD = "correct horse battery"
LAPTOP = Client("192.0.2.1", "test")


@dataclass(frozen=True)
class Doors:
    """The services with a client and a password at hand."""

    database: Database
    accounts: AccountService
    registration: RegistrationService
    sessions: SessionService
    principals: Principals

    async def register(
        self, email: str = "ada@example.com", password: str = PASSWORD, name: str | None = None
    ) -> SignedIn:
        return await self.registration.register(email, password, LAPTOP, name=name)

    async def login(self, email: str = "ada@example.com", password: str = PASSWORD) -> SignedIn:
        return await self.sessions.login(email, password, LAPTOP)

    async def refresh(self, refresh_token: str) -> SignedIn:
        return await self.sessions.refresh(refresh_token, LAPTOP)

    async def viewer_of(self, access_token: str) -> Viewer:
        """The viewer that an access token makes, by the way that every operation takes."""
        return await self.principals.load(f"Bearer {access_token}", LAPTOP)
