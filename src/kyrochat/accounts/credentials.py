"""Changing what one signs in with, which takes the password once more."""

from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository, reset_repository
from kyrochat.accounts.account_rules import check_email, check_new_password, normal_email
from kyrochat.accounts.attempts import charge_attempt, note_failure, note_success
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.ending import end_sessions
from kyrochat.accounts.mail import Outbox
from kyrochat.accounts.notices import tell_of_new_email, tell_of_new_password
from kyrochat.accounts.passwords import MAX_PASSWORD_BYTES, Passwords
from kyrochat.accounts.registration import EmailTaken
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import User
from kyrochat.errors import InvalidCredentials, Unauthenticated
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.rules import Rules


@dataclass(frozen=True, slots=True)
class CredentialService:
    """Use cases of those who know their password."""

    database: Database
    changes: Changes
    passwords: Passwords
    rates: Rates = NO_LIMITS
    # None: this server sends no mail.
    outbox: Outbox | None = None

    async def change_password(self, viewer: Viewer, current: str, new: str) -> User:
        """Set a new password and end all other sessions; return the user.

        Raises:
            InvalidInput: the new password breaks a rule.
            InvalidCredentials: the current password is wrong.
            RateLimited: too many passwords were tried.
            Overloaded: too many passwords are being hashed.
        """
        user = await self._user(viewer)
        rules = Rules()
        check_new_password(rules, "newPassword", new, email=user.email, name=user.name)
        rules.enforce()
        await self._prove(viewer, user, current)
        hashed = await self.passwords.hash(new)
        async with self.database.begin() as session:
            locked = await _lock(session, user)
            locked.password_hash = hashed
            session.add(locked)
            await reset_repository.forget(session, locked.id)
            ended = await end_sessions(session, self.changes, locked.id, but=viewer.session_id)
            record(session, AuditAct.PASSWORD_CHANGED, viewer, subject_id=locked.id, details={"sessions_ended": ended})
        tell_of_new_password(self.outbox, locked, viewer.client)
        return locked

    async def change_email(self, viewer: Viewer, current_password: str, new: str) -> User:
        """Set another e-mail address to sign in with; return the user.

        Raises:
            InvalidInput: it is no e-mail address.
            InvalidCredentials: the password is wrong.
            RateLimited: too many passwords were tried.
            EmailTaken: the address has an account.
            Overloaded: too many passwords are being checked.
        """
        new = normal_email(new)
        user = await self._user(viewer)
        rules = Rules()
        check_email(rules, "newEmail", new)
        rules.enforce()
        await self._prove(viewer, user, current_password)
        try:
            async with self.database.begin() as session:
                locked = await _lock(session, user)
                locked.email = new
                session.add(locked)
                # Links went to the old address.
                await reset_repository.forget(session, locked.id)
                record(session, AuditAct.EMAIL_CHANGED, viewer, subject_id=locked.id)
        except IntegrityError as error:
            if "users_email_key" in str(error.orig):
                raise EmailTaken from error
            raise
        if user.email != new:
            tell_of_new_email(self.outbox, user.email, locked, viewer.client)
        return locked

    async def prove(self, viewer: Viewer, password: str) -> User:
        """Check the viewer's password once more, for what cannot be taken back; return his user.

        Raises:
            Forbidden: a key asks.
            InvalidCredentials: the password is wrong.
            RateLimited: too many passwords were tried.
            Overloaded: too many passwords are being checked.
        """
        user = await self._user(viewer)
        await self._prove(viewer, user, password)
        return user

    async def _user(self, viewer: Viewer) -> User:
        viewer.must_be_person()
        async with self.database.begin() as session:
            user = await repository.user(session, viewer.user_id)
        if user is None:
            raise Unauthenticated("The account is gone.")
        return user

    async def _prove(self, viewer: Viewer, user: User, password: str) -> None:
        """Check the password; who has an open session of somebody else may guess as little as who has none."""
        with self.passwords.place():
            await charge_attempt(self.rates, user.email, viewer.client)
            fits = len(password.encode()) <= MAX_PASSWORD_BYTES
            is_right = fits and await self.passwords.verify(user.password_hash, password)
        if is_right:
            await note_success(self.rates, user.email, viewer.client)
            return
        await note_failure(self.rates, user.email)
        async with self.database.begin() as session:
            record(session, AuditAct.SIGN_IN_FAILED, viewer, subject_id=user.id)
        raise InvalidCredentials("The current password is wrong.")


async def _lock(session: AsyncSession, user: User) -> User:
    locked = await repository.lock_user(session, user.id, to_change=True)
    # While the hash took its time, another change may have made the proof worthless.
    if locked is None or locked.password_hash != user.password_hash:
        raise InvalidCredentials("The current password is wrong.")
    return locked
