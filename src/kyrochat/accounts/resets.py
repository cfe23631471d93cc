"""New passwords for those who have forgotten theirs: a link that works once, from an administrator or by mail."""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from kyrochat.accounts import repository, reset_repository
from kyrochat.accounts.account_rules import check_new_password, normal_email
from kyrochat.accounts.attempts import charge_reset
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.ending import end_sessions
from kyrochat.accounts.mail import Mail, Outbox
from kyrochat.accounts.notices import tell_of_new_password
from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.tokens import RESET_PREFIX, new_secret, secret_hash
from kyrochat.accounts.viewer import Client, Operator, Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.models import User
from kyrochat.errors import Conflict, InvalidCredentials, NotConfigured, NotFound
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.rules import Rules

PAGE = "/reset-password"
NO_MAIL = (
    "This server sends no mail. Ask an administrator for a link that sets a new password; "
    "on the server's machine, `kyrochat users reset-link EMAIL` prints one."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResetLink:
    """A link that sets a user's password once; shown only here."""

    user: User
    token: str = field(repr=False)
    url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PasswordResetService:
    """Use cases of forgotten passwords."""

    database: Database
    changes: Changes
    passwords: Passwords
    # Where people reach this server, without a slash at the end.
    public_url: str
    # None: this server sends no mail.
    outbox: Outbox | None = None
    rates: Rates = NO_LIMITS

    async def create_link(self, by: Viewer | Operator, user_id: UUID) -> ResetLink:
        """Return a link for a user, for an administrator to hand over; links from before stop working.

        Raises:
            Forbidden: the viewer is no administrator.
            NotFound: there is no such user.
            Conflict: the account is disabled.
        """
        by.must_administer()
        async with self.database.begin() as session:
            user = await repository.lock_user(session, user_id)
            if user is None:
                raise NotFound("user")
            if user.disabled_at is not None:
                raise Conflict("This account is disabled. Enable it first.")
            token = new_secret(RESET_PREFIX)
            expires_at = await reset_repository.put(session, user.id, secret_hash(token))
            record(session, AuditAct.PASSWORD_RESET_REQUESTED, by, subject_id=user.id, details={"by": "link"})
        return ResetLink(user, token, self._url(token), expires_at)

    async def request(self, email: str, client: Client) -> None:
        """Have a link mailed to the address, if it has an account: the caller cannot tell, not by the clock either.

        Raises:
            NotConfigured: this server sends no mail.
            RateLimited: too many were asked for, for this address or from there; whether or not it has an account.
            Overloaded: too many mails are in line.
        """
        if self.outbox is None:
            raise NotConfigured(NO_MAIL)
        email = normal_email(email)
        await charge_reset(self.rates, email, client)
        self.outbox.post(lambda: self._write_mail(email, client))

    async def reset(self, token: str, new_password: str, client: Client) -> User:
        """Set a new password by a link's token, which is used up, and end all sessions of the user; return him.

        Raises:
            InvalidInput: the password breaks a rule; the token stays good.
            InvalidCredentials: the token is unknown, used, replaced or too old.
            Overloaded: too many passwords are being hashed.
        """
        given = secret_hash(token)
        async with self.database.begin() as session:
            user = await reset_repository.user_of(session, given)
        if user is None:
            raise InvalidCredentials(_WORTHLESS)
        rules = Rules()
        check_new_password(rules, "newPassword", new_password, email=user.email, name=user.name)
        rules.enforce()
        hashed = await self.passwords.hash(new_password)
        async with self.database.begin() as session:
            locked = await repository.lock_user(session, user.id, to_change=True)
            if locked is None or locked.disabled_at is not None or not await reset_repository.use(session, given):
                raise InvalidCredentials(_WORTHLESS)
            locked.password_hash = hashed
            session.add(locked)
            ended = await end_sessions(session, self.changes, locked.id)
            record(session, AuditAct.PASSWORD_RESET, client, subject_id=locked.id, details={"sessions_ended": ended})
        tell_of_new_password(self.outbox, locked, client)
        return locked

    async def _write_mail(self, email: str, client: Client) -> Mail | None:
        async with self.database.begin() as session:
            found = None if "\x00" in email else await repository.user_by_email(session, email)
            user = await repository.lock_user(session, found.id) if found else None
            is_known = user is not None and user.disabled_at is None
            record(
                session,
                AuditAct.PASSWORD_RESET_REQUESTED,
                client,
                subject_id=user.id if user else None,
                details={"by": "mail"},
            )
            if user is None or not is_known:
                return None
            token = new_secret(RESET_PREFIX)
            await reset_repository.put(session, user.id, secret_hash(token))
        return Mail(user.email, "Set a new password", _TEXT.format(name=user.name, url=self._url(token)))

    def _url(self, token: str) -> str:
        # After the #: browsers keep that to themselves, so it is in no log of a server or a proxy.
        return f"{self.public_url}{PAGE}#{token}"


_WORTHLESS = "This link does not work any more: it was used or replaced, or is older than 30 minutes. Ask for another."
_TEXT = """\
Hello {name},

somebody, you we hope, has asked for a new password for your account. This link sets one. It works once, in the next
30 minutes:

{url}

If it was not you, there is nothing to do: your password is what it was.
"""
