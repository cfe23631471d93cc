"""New accounts: who may make one, and what comes with it."""

from dataclasses import dataclass
from hmac import compare_digest

from sqlalchemy.exc import IntegrityError

from kyrochat.accounts import repository
from kyrochat.accounts.account_rules import check_email, check_name, check_new_password, normal_email
from kyrochat.accounts.attempts import charge_registration
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.sessions import SessionService, SignedIn
from kyrochat.accounts.viewer import Client
from kyrochat.db.engine import Database
from kyrochat.db.models import User, Workspace, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Conflict, Forbidden, InvalidInput
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.rules import Rules
from kyrochat.settings import Registration


class EmailTaken(Conflict):
    """Somebody has registered with this e-mail address."""

    def __init__(self) -> None:
        super().__init__("There is an account with this e-mail address. Sign in instead.")


@dataclass(frozen=True, slots=True)
class RegistrationService:
    """Use cases of those who have no account yet."""

    database: Database
    passwords: Passwords
    sessions: SessionService
    registration: Registration = Registration.OPEN
    # What the first account must bring, where others than the operator can reach the server.
    setup_code: str | None = None
    rates: Rates = NO_LIMITS

    async def register(
        self,
        email: str,
        password: str,
        client: Client,
        *,
        name: str | None = None,
        setup_code: str | None = None,
        may_be_admin: bool = True,
    ) -> SignedIn:
        """Create a user with a personal workspace, and sign in. The first one who may be is admin.

        Raises:
            InvalidInput: the e-mail address, password or name breaks a rule, or the setup code is wrong.
            EmailTaken: the address has an account.
            Forbidden: registration is not open.
            RateLimited: too many accounts were made from there.
            Overloaded: too many passwords are being hashed.
        """
        email = normal_email(email)
        name = (name or "").strip() or email.partition("@")[0]
        _check(email, password, name)
        self.passwords.must_have_room()
        await charge_registration(self.rates, client)
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
                record(session, AuditAct.ACCOUNT_REGISTERED, client, actor_id=user.id, details={"is_admin": is_first})
                return await self.sessions.open(session, user, client)
        except IntegrityError as error:
            if "users_email_key" in str(error.orig):
                raise EmailTaken from error
            raise

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


def _check(email: str, password: str, name: str) -> None:
    rules = Rules()
    check_email(rules, "email", email)
    check_new_password(rules, "password", password, email=email, name=name)
    check_name(rules, "name", name)
    rules.enforce()
