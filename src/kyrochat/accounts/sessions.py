"""Signing in, staying signed in, and signing out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository
from kyrochat.accounts.passwords import MAX_PASSWORD_BYTES, Passwords
from kyrochat.accounts.tokens import REFRESH_PREFIX, Tokens, new_secret, secret_hash
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import UsedRefreshToken, User, UserSession
from kyrochat.errors import InvalidCredentials

SESSION_LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session with its tokens, which are shown only here."""

    user: User
    access_token: str
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SessionService:
    """Use cases of sessions."""

    database: Database
    changes: Changes
    passwords: Passwords
    tokens: Tokens

    async def login(self, email: str, password: str, client: Client) -> SignedIn:
        """Sign in. An unknown e-mail address takes as long as a wrong password.

        Raises:
            InvalidCredentials: either is wrong; which is not said.
            Overloaded: too many passwords are being checked.
        """
        email = email.strip().lower()
        if "\x00" in email or len(password.encode()) > MAX_PASSWORD_BYTES:
            email, password = "", ""
        async with self.database.begin() as session:
            user = await repository.user_by_email(session, email)
        if not await self.passwords.verify(user.password_hash if user else None, password) or user is None:
            raise InvalidCredentials
        async with self.database.begin() as session:
            # Read anew: the hash took its time, and rows belong to the transaction that read them.
            found = await repository.users_by_id(session, [user.id])
            if not found:
                raise InvalidCredentials
            return await self.open(session, found[0], client)

    async def open(self, session: AsyncSession, user: User, client: Client) -> SignedIn:
        """Sign a user in, in the caller's transaction."""
        token = new_secret(REFRESH_PREFIX)
        row = UserSession(
            user_id=user.id,
            refresh_hash=secret_hash(token),
            expires_at=datetime.now(UTC) + SESSION_LIFETIME,
            address=client.address,
            user_agent=client.user_agent,
        )
        session.add(row)
        await session.flush()
        return self._signed_in(user, row.id, token)

    async def refresh(self, refresh_token: str, client: Client) -> SignedIn:
        """Exchange a refresh token for new tokens; the old one is used up.

        A token used twice means that somebody else has it: the whole session ends then.

        Raises:
            InvalidCredentials: unknown, used up, revoked or expired.
        """
        del client
        given = secret_hash(refresh_token)
        now = datetime.now(UTC)
        async with self.database.begin() as session:
            row = await repository.lock_session_by_hash(session, given)
            if row is not None and row.refresh_hash == given and row.revoked_at is None and row.expires_at > now:
                (user,) = await repository.users_by_id(session, [row.user_id])
                token = new_secret(REFRESH_PREFIX)
                row.refresh_hash = secret_hash(token)
                session.add(UsedRefreshToken(token_hash=given, session_id=row.id))
                session.add(row)
                return self._signed_in(user, row.id, token)
            if row is not None:
                await repository.revoke(session, row.id, now)
                await self.changes.announce(session, [ACCESS_TOPIC])
        raise InvalidCredentials("The refresh token is not valid any more. Sign in again.")

    async def logout(self, viewer: Viewer) -> bool:
        """End the viewer's session; False when it has none, or it had ended before."""
        if viewer.session_id is None:
            return False
        async with self.database.begin() as session:
            await self.changes.announce(session, [ACCESS_TOPIC])
            return await repository.revoke(session, viewer.session_id, datetime.now(UTC))

    def _signed_in(self, user: User, session_id: UUID, refresh_token: str) -> SignedIn:
        access_token, expires_at = self.tokens.access_token(user.id, session_id)
        return SignedIn(user, access_token, refresh_token, expires_at)
