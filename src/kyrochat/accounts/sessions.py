"""Signing in, staying signed in, and signing out."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository, session_repository
from kyrochat.accounts.account_rules import normal_email
from kyrochat.accounts.attempts import charge_attempt, note_failure, note_success
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.ending import end_sessions
from kyrochat.accounts.passwords import MAX_PASSWORD_BYTES, Passwords
from kyrochat.accounts.session_repository import SESSION_LIFETIME
from kyrochat.accounts.tokens import REFRESH_PREFIX, Tokens, new_secret, secret_hash
from kyrochat.accounts.viewer import Client, Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import User, UserSession
from kyrochat.errors import InvalidCredentials, NotFound, Overloaded
from kyrochat.rates.limits import REFRESH_PER_SESSION
from kyrochat.rates.service import NO_LIMITS, Rates

NOBODY = UUID(int=0)


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
    rates: Rates = NO_LIMITS

    async def login(self, email: str, password: str, client: Client) -> SignedIn:
        """Sign in. An unknown e-mail address takes as long as a wrong password.

        Raises:
            InvalidCredentials: either is wrong, or the account is disabled; which of them is not said.
            RateLimited: too many passwords were tried, for this account or from there.
            Overloaded: too many passwords are being checked.
        """
        email = normal_email(email)
        if "\x00" in email or len(password.encode()) > MAX_PASSWORD_BYTES:
            email, password = "", ""
        with self.passwords.place():
            await charge_attempt(self.rates, email, client)
            async with self.database.begin() as session:
                user = await repository.user_by_email(session, email)
            is_right = await self.passwords.verify(user.password_hash if user else None, password)
        async with self.database.begin() as session:
            # Read anew: while the hash took its time the password may have been changed, or the account disabled.
            now = await repository.lock_user(session, user.id if user else NOBODY)
            if is_right and user and now and now.password_hash == user.password_hash and now.disabled_at is None:
                signed_in = await self.open(session, now, client)
                record(session, AuditAct.SIGNED_IN, client, actor_id=now.id)
            else:
                record(session, AuditAct.SIGN_IN_FAILED, client, subject_id=now.id if now else None)
                signed_in = None
        if signed_in is None:
            await note_failure(self.rates, email)
            raise InvalidCredentials
        await note_success(self.rates, email, client)
        if self.passwords.needs_rehash(signed_in.user.password_hash):
            await self._rehash(signed_in.user, password)
        return signed_in

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

        A repetition soon after gives the same refresh token again, as long as that one was not used itself: an answer
        was lost, or two tabs asked at once. Any other repetition means that two have the token: the session ends then.

        Raises:
            InvalidCredentials: unknown, used up, revoked or expired.
            RateLimited: the session was refreshed too often.
        """
        given = secret_hash(refresh_token)
        async with self.database.begin() as session:
            session_id = await session_repository.id_of_refresh_token(session, given)
        if session_id is not None:
            await self.rates.charge(REFRESH_PER_SESSION, str(session_id))
        async with self.database.begin() as session:
            signed_in = await self._exchange(session, given, client)
        if signed_in is None:
            raise InvalidCredentials("The refresh token is not valid any more. Sign in again.")
        return signed_in

    async def page(self, viewer: Viewer, request: PageRequest) -> Page[UserSession]:
        """Return a page of the viewer's sessions that have not ended, newest first."""
        viewer.must_be_person()
        async with self.database.begin() as session:
            return await session_repository.page_of_user(session, viewer.user_id, request)

    async def count(self, viewer: Viewer) -> int:
        """Return how many sessions of the viewer have not ended."""
        viewer.must_be_person()
        async with self.database.begin() as session:
            return await session_repository.count_of_user(session, viewer.user_id)

    async def many(self, viewer: Viewer, session_ids: Sequence[UUID]) -> Sequence[UserSession]:
        """Return those of the sessions that are the viewer's and have not ended, in no order."""
        viewer.must_be_person()
        async with self.database.begin() as session:
            return await session_repository.many(session, session_ids, user_id=viewer.user_id)

    async def logout(self, viewer: Viewer) -> bool:
        """End the viewer's session; False when it has none, or it had ended before."""
        if viewer.session_id is None:
            return False
        async with self.database.begin() as session:
            ended = await end_sessions(session, self.changes, viewer.user_id, only=viewer.session_id)
            if ended:
                record(session, AuditAct.SIGNED_OUT, viewer)
        return bool(ended)

    async def end_one(self, viewer: Viewer, session_id: UUID) -> None:
        """End a session of the viewer: this one or another one.

        Raises:
            NotFound: it is not his, or has ended.
        """
        viewer.must_be_person()
        async with self.database.begin() as session:
            if not await end_sessions(session, self.changes, viewer.user_id, only=session_id):
                raise NotFound("session")
            record(session, AuditAct.SESSIONS_ENDED, viewer, details={"count": 1})

    async def logout_everywhere(self, viewer: Viewer, *, keep_current: bool = False) -> int:
        """End all sessions of the viewer, or all but this one; return how many."""
        viewer.must_be_person()
        async with self.database.begin() as session:
            ended = await end_sessions(
                session, self.changes, viewer.user_id, but=viewer.session_id if keep_current else None
            )
            record(session, AuditAct.SESSIONS_ENDED, viewer, details={"count": ended})
        return ended

    async def _exchange(self, session: AsyncSession, given: bytes, client: Client) -> SignedIn | None:
        found = await session_repository.lock_by_refresh_token(session, given)
        if found is None or not found.is_live:
            return None
        row, following = found.session, self.tokens.next_refresh_tokens(given)
        told = [token for token in following if secret_hash(token) == row.refresh_hash]
        is_repeated = bool(told) and found.was_exchanged_just_now
        if row.refresh_hash != given and not is_repeated:
            await end_sessions(session, self.changes, row.user_id, only=row.id)
            record(session, AuditAct.REFRESH_TOKEN_REUSED, client, subject_id=row.user_id)
            return None
        (user,) = await repository.users_by_id(session, [row.user_id])
        if user.disabled_at is not None:
            return None
        if is_repeated:
            return self._signed_in(user, row.id, told[0])
        await session_repository.exchange(session, row.id, given, secret_hash(following[0]))
        return self._signed_in(user, row.id, following[0])

    async def _rehash(self, user: User, password: str) -> None:
        # When the server is busy it waits for the next sign-in.
        with suppress(Overloaded):
            new = await self.passwords.hash(password)
            async with self.database.begin() as session:
                await repository.replace_hash(session, user.id, user.password_hash, new)

    def _signed_in(self, user: User, session_id: UUID, refresh_token: str) -> SignedIn:
        access_token, expires_at = self.tokens.access_token(user.id, session_id)
        return SignedIn(user, access_token, refresh_token, expires_at)
