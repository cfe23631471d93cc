"""New accounts: who may make one, and what comes with it."""

from dataclasses import dataclass
from hmac import compare_digest

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts import repository
from kyrochat.accounts.account_rules import check_email, check_name, check_new_password, normal_email
from kyrochat.accounts.admission import join, take_invitation
from kyrochat.accounts.attempts import charge_registration
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.sessions import SessionService, SignedIn
from kyrochat.accounts.tokens import secret_hash
from kyrochat.accounts.viewer import Client
from kyrochat.db.engine import Database, widen
from kyrochat.db.models import Invitation, User, Workspace, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Conflict, Forbidden, InvalidInput
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.rules import Rules
from kyrochat.setting_values import Registration


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
        invitation_token: str | None = None,
        may_be_admin: bool = True,
    ) -> SignedIn:
        """Create a user with a personal workspace, and sign in. The first one who may be is admin.

        An invitation into a workspace is accepted with it, and only with it: who is refused has not used it up.

        Raises:
            InvalidInput: the e-mail address, password or name breaks a rule, or the setup code or invitation is wrong.
            EmailTaken: the address has an account.
            Forbidden: registration is not open, or takes an invitation.
            RateLimited: too many accounts were made from there.
            Overloaded: too many passwords are being hashed.
        """
        email = normal_email(email)
        name = (name or "").strip() or email.partition("@")[0]
        _check(email, password, name)
        with self.passwords.place():
            await charge_registration(self.rates, client)
            password_hash = await self.passwords.hash(password)
        user = User(email=email, name=name, password_hash=password_hash)
        workspace = Workspace(name=f"{name}'s workspace")
        try:
            hashed = secret_hash(invitation_token) if invitation_token else None
            async with self.database.begin(credential=hashed) as session:
                is_first = await repository.lock_first_admin(session) and may_be_admin
                if is_first:
                    self._check_setup_code(setup_code)
                elif may_be_admin:
                    self._check_registration(is_invited=hashed is not None)
                invitation = await _take(session, hashed, email) if hashed is not None else None
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
                if invitation is not None:
                    await _accept(session, invitation, user, client)
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

    def _check_registration(self, *, is_invited: bool) -> None:
        if self.registration is Registration.CLOSED:
            raise Forbidden("Registration is closed. Ask an administrator for an account.")
        if self.registration is Registration.INVITE and not is_invited:
            raise Forbidden(
                "Registration takes an invitation: ask an administrator, or an owner of a workspace, for a link."
            )

    def _check_setup_code(self, given: str | None) -> None:
        # Compared as bytes: compare_digest refuses other than ASCII characters in text.
        if self.setup_code is not None and not compare_digest(self.setup_code.encode(), (given or "").encode()):
            raise InvalidInput.at(
                "setupCode", "The first account of this server needs the setup code that it printed when it started."
            )


async def _take(session: AsyncSession, hashed: bytes, email: str) -> Invitation:
    invitation = await take_invitation(session, hashed, email)
    if invitation is None:
        raise InvalidInput.at(
            "invitationToken",
            "This invitation is not good: it was used or revoked, has expired, or is for another e-mail address.",
        )
    return invitation


async def _accept(session: AsyncSession, invitation: Invitation, user: User, client: Client) -> None:
    details: dict[str, str] = {}
    if invitation.workspace_id is not None:
        await join(session, invitation, user.id)
        await widen(session, invitation.workspace_id)
        details["role"] = invitation.role
    record(
        session,
        AuditAct.INVITATION_ACCEPTED,
        client,
        actor_id=user.id,
        workspace_id=invitation.workspace_id,
        of=("Invitation", invitation.id),
        details=details,
    )


def _check(email: str, password: str, name: str) -> None:
    rules = Rules()
    check_email(rules, "email", email)
    check_new_password(rules, "password", password, email=email, name=name)
    check_name(rules, "name", name)
    rules.enforce()
