"""Registration, sign-in, sessions, and who the viewer is."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository
from kyrochat.accounts.passwords import MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, Passwords
from kyrochat.accounts.tokens import REFRESH_PREFIX, Tokens, new_secret, secret_hash
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import UsedRefreshToken, User, UserSession, Workspace, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Conflict, Forbidden, InvalidCredentials, InvalidInput, NotFound, Unauthenticated
from kyrochat.rules import Rules
from kyrochat.settings import Registration

SESSION_LIFETIME = timedelta(days=30)
MAX_EMAIL_CHARS = 254
MAX_NAME_CHARS = 100
# One @ with something around it: more than this only sending a mail can tell.
_EMAIL = re.compile(r"[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]+")


class EmailTaken(Conflict):
    """Somebody has registered with this e-mail address."""

    def __init__(self) -> None:
        super().__init__("There is an account with this e-mail address. Sign in instead.")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session with its tokens, which are shown only here."""

    user: User
    access_token: str
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AccountService:
    """Use cases of accounts."""

    database: Database
    passwords: Passwords
    tokens: Tokens
    registration: Registration = Registration.OPEN
    # What the first account must bring, where others than the operator can reach the server.
    setup_code: str | None = None

    async def register(
        self,
        email: str,
        password: str,
        name: str | None = None,
        setup_code: str | None = None,
        *,
        may_be_admin: bool = True,
    ) -> SignedIn:
        """Create a user with a personal workspace, and sign in. The first one who may be is admin.

        Raises:
            InvalidInput: the e-mail address, password or name breaks a rule, or the setup code is wrong.
            EmailTaken: the address has an account.
            Forbidden: registration is not open.
            Overloaded: too many passwords are being hashed.
        """
        email = email.strip().lower()
        name = (name or "").strip() or email.partition("@")[0]
        _check_registration(email, password, name)
        password_hash = await self.passwords.hash(password)
        user = User(email=email, name=name, password_hash=password_hash)
        workspace = Workspace(name=f"{name}'s workspace")
        try:
            async with self.database.begin() as session:
                is_first = await repository.lock_first_admin(session) and may_be_admin
                if is_first:
                    self._check_setup_code(setup_code)
                elif may_be_admin and self.registration is not Registration.OPEN:
                    raise Forbidden("Registration is closed. Ask an administrator for an account.")
                user.is_admin = is_first
                session.add_all([user, workspace])
                await session.flush()
                session.add(
                    WorkspaceMember(
                        workspace_id=workspace.id, user_id=user.id, role=WorkspaceRole.OWNER, is_personal=True
                    )
                )
                await session.refresh(user)
                return await self._open_session(session, user)
        except IntegrityError as error:
            if "users_email_key" in str(error.orig):
                raise EmailTaken from error
            raise

    async def login(self, email: str, password: str) -> SignedIn:
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
            return await self._open_session(session, found[0])

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Exchange a refresh token for new tokens; the old one is used up.

        A token used twice means that somebody else has it: the whole session ends then.

        Raises:
            InvalidCredentials: unknown, used up, revoked or expired.
        """
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
        raise InvalidCredentials("The refresh token is not valid any more. Sign in again.")

    async def logout(self, viewer: Viewer) -> bool:
        """End the viewer's session; False when it has none, or it had ended before."""
        if viewer.session_id is None:
            return False
        async with self.database.begin() as session:
            return await repository.revoke(session, viewer.session_id, datetime.now(UTC))

    async def local_viewers(self, email: str | None = None) -> list[Viewer]:
        """Return who the operator at the command line may act as: everybody, the oldest account first, or one.

        Raises:
            NotFound: nobody has that e-mail address.
        """
        async with self.database.begin() as session:
            users = await repository.oldest_users(session, email.strip().lower() if email else None)
            if email and not users:
                raise NotFound(f"account as {email}")
            accounts = [await repository.account(session, user.id) for user in users]
        return [account for account in accounts if account is not None]

    async def me(self, viewer: Viewer) -> User:
        """Return the viewer's user."""
        async with self.database.begin() as session:
            users = await repository.users_by_id(session, [viewer.user_id])
        if not users:
            raise Unauthenticated("The account is gone.")
        return users[0]

    async def workspaces(self, viewer: Viewer) -> list[Workspace]:
        """Return the viewer's workspaces, newest first."""
        async with self.database.begin() as session:
            found = await repository.workspaces_by_id(session, list(viewer.workspaces))
        return sorted(found, key=lambda workspace: workspace.id, reverse=True)

    async def needs_setup(self) -> bool:
        """Say whether the next account will be the first one, and needs the setup code."""
        if self.setup_code is None:
            return False
        async with self.database.begin() as session:
            return not await repository.has_admin(session)

    def _check_setup_code(self, given: str | None) -> None:
        # Compared as bytes: compare_digest refuses other than ASCII characters in text.
        if self.setup_code is not None and not compare_digest(self.setup_code.encode(), (given or "").encode()):
            raise InvalidInput.at(
                "setupCode", "The first account of this server needs the setup code that it printed when it started."
            )

    async def _open_session(self, session: AsyncSession, user: User) -> SignedIn:
        token = new_secret(REFRESH_PREFIX)
        row = UserSession(
            user_id=user.id, refresh_hash=secret_hash(token), expires_at=datetime.now(UTC) + SESSION_LIFETIME
        )
        session.add(row)
        await session.flush()
        return self._signed_in(user, row.id, token)

    def _signed_in(self, user: User, session_id: UUID, refresh_token: str) -> SignedIn:
        access_token, expires_at = self.tokens.access_token(user.id, session_id)
        return SignedIn(user, access_token, refresh_token, expires_at)


def _check_registration(email: str, password: str, name: str) -> None:
    rules = Rules()
    if len(email) > MAX_EMAIL_CHARS or not _EMAIL.fullmatch(email):
        rules.add("email", "This is not an e-mail address.")
    if not MIN_PASSWORD_BYTES <= len(password.encode()) <= MAX_PASSWORD_BYTES:
        rules.add("password", f"A password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes.")
    rules.text("name", name, max_chars=MAX_NAME_CHARS, min_chars=1)
    rules.enforce()
