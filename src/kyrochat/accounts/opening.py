"""Opens what accounts are made of, from the settings."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from kyrochat.accounts.administration import Administration
from kyrochat.accounts.api_keys import ApiKeyService
from kyrochat.accounts.audit_reading import AuditReader
from kyrochat.accounts.credentials import CredentialService
from kyrochat.accounts.erasure import ErasureService
from kyrochat.accounts.invitations import InvitationService
from kyrochat.accounts.mail import Outbox
from kyrochat.accounts.members import MemberService
from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.principals import Principals
from kyrochat.accounts.registration import RegistrationService
from kyrochat.accounts.resets import PasswordResetService
from kyrochat.accounts.service import AccountService
from kyrochat.accounts.sessions import SessionService
from kyrochat.accounts.smtp import SmtpServer
from kyrochat.accounts.sweep import Sweep
from kyrochat.accounts.tokens import Tokens
from kyrochat.accounts.workspaces import WorkspaceService
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.errors import ConfigurationError
from kyrochat.rates.service import Rates
from kyrochat.settings import Settings
from kyrochat.signing.keys import SecretKeys


@dataclass(frozen=True, slots=True)
class Accounts:
    """All use cases of accounts."""

    people: AccountService
    registration: RegistrationService
    sessions: SessionService
    credentials: CredentialService
    resets: PasswordResetService
    users: Administration
    workspaces: WorkspaceService
    members: MemberService
    api_keys: ApiKeyService
    audit: AuditReader
    invitations: InvitationService
    erasure: ErasureService
    principals: Principals


@asynccontextmanager
async def open_accounts(
    settings: Settings, keys: SecretKeys, database: Database, changes: Changes, rates: Rates
) -> AsyncGenerator[Accounts, None]:
    """Give the use cases, and meanwhile send mails and sweep away what has ended.

    Raises:
        ConfigurationError: a setting about mail will not do.
    """
    outbox = mail_outbox(settings)
    async with AsyncExitStack() as stack:
        passwords = Passwords()
        stack.callback(passwords.close)
        await stack.enter_async_context(Sweep(database).sweeping())
        if outbox is not None:
            await stack.enter_async_context(outbox.delivering())
        tokens = Tokens(keys.current, keys.previous)
        sessions = SessionService(database, changes, passwords, tokens, rates)
        credentials = CredentialService(database, changes, passwords, rates, outbox)
        yield Accounts(
            AccountService(database),
            RegistrationService(
                database,
                passwords,
                sessions,
                settings.registration,
                # The same in all processes: it does not matter which one printed it.
                setup_code=None if settings.is_loopback else keys.derive("setup code")[:5].hex(),
                rates=rates,
            ),
            sessions,
            credentials,
            PasswordResetService(database, changes, passwords, settings.base_url, outbox, rates),
            Administration(database, changes),
            WorkspaceService(database, changes),
            MemberService(database, changes),
            ApiKeyService(database, changes),
            AuditReader(database),
            InvitationService(database, changes, settings.base_url),
            ErasureService(database, changes, credentials),
            Principals(database, tokens),
        )


def mail_outbox(settings: Settings) -> Outbox | None:
    """Return what sends mails, or None without a mail server.

    Raises:
        ConfigurationError: it is half set up.
    """
    if settings.public_url is not None:
        parts = urlsplit(settings.public_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError("KYROCHAT_PUBLIC_URL is where people reach the server: https://chat.example.com")
    if settings.smtp_url is None:
        return None
    if settings.mail_from is None or settings.public_url is None:
        raise ConfigurationError("To send mail, set KYROCHAT_MAIL_FROM and KYROCHAT_PUBLIC_URL too.")
    return Outbox(SmtpServer.at(settings.smtp_url.get_secret_value(), settings.mail_from))
