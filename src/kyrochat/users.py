"""`kyrochat users`: what an operator does with accounts, beside servers or without any."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from kyrochat.accounts.administration import Administration
from kyrochat.accounts.invitations import InvitationService
from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.resets import PasswordResetService
from kyrochat.accounts.user_repository import UserStatus
from kyrochat.accounts.viewer import Operator
from kyrochat.db.access import database_access
from kyrochat.db.changes import Changes
from kyrochat.db.keyset import MAX_PAGE, PageRequest
from kyrochat.db.models import User
from kyrochat.settings import Settings

Echo = Callable[..., Any]
OPERATOR = Operator()


@dataclass(frozen=True, slots=True)
class _Office:
    users: Administration
    resets: PasswordResetService
    invitations: InvitationService


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[_Office, None]:
    async with database_access(settings) as access:
        database, changes, passwords = access.open_app(), Changes(), Passwords()
        try:
            yield _Office(
                Administration(database, changes),
                PasswordResetService(database, changes, passwords, settings.base_url),
                InvitationService(database, changes, settings.base_url),
            )
        finally:
            passwords.close()
            await database.close()


async def list_users(settings: Settings, echo: Echo, email: str, status: UserStatus | None) -> None:
    """Print a line for each account, the newest first."""
    async with _opened(settings) as office:
        after, has_next = None, True
        while has_next:
            page = await office.users.page(OPERATOR, PageRequest(MAX_PAGE, after), email, status)
            seen = await office.users.last_active(OPERATOR, [user.id for user in page.rows])
            for user in page.rows:
                echo(_line(user, seen))
            has_next, after = page.has_next, page.rows[-1].id if page.rows else None
        if after is None:
            echo("There are no such accounts.")


async def print_reset_link(settings: Settings, echo: Echo, email: str) -> None:
    """Print a link that sets a new password.

    Raises:
        NotFound: nobody has that e-mail address.
        Conflict: the account is disabled.
    """
    async with _opened(settings) as office:
        user = await office.users.find(OPERATOR, email)
        link = await office.resets.create_link(OPERATOR, user.id)
    echo(link.url)
    echo(
        f"Hand it to {_shown(user.email)}: it sets a new password once, until {_time(link.expires_at)}, and signs out "
        "all sessions. Links from before do not work any more."
    )


async def invite(settings: Settings, echo: Echo, email: str | None, days: int) -> None:
    """Print a link with which one person can make an account.

    Raises:
        InvalidInput: that is no e-mail address, or the days are out of range.
    """
    async with _opened(settings) as office:
        link = await office.invitations.create_for_site(OPERATOR, email, days)
    for_whom = f"For {link.invitation.email} only" if link.invitation.email else "For whoever has it"
    echo(link.url)
    echo(f"{for_whom}, once, until {_time(link.invitation.expires_at)}. Shown only now.")


async def set_disabled(settings: Settings, echo: Echo, email: str, *, disabled: bool) -> None:
    """Disable or enable an account.

    Raises:
        NotFound: nobody has that e-mail address.
        Conflict: it is the last administrator's.
    """
    async with _opened(settings) as office:
        user = await office.users.find(OPERATOR, email)
        await office.users.set_disabled(OPERATOR, user.id, disabled=disabled)
    what = "is disabled: its sessions have ended, and its keys do not work" if disabled else "works"
    echo(f"The account {_shown(user.email)} {what}.")


async def make_admin(settings: Settings, echo: Echo, email: str) -> None:
    """Make somebody an administrator.

    Raises:
        NotFound: nobody has that e-mail address.
    """
    async with _opened(settings) as office:
        user = await office.users.find(OPERATOR, email)
        await office.users.set_admin(OPERATOR, user.id, is_admin=True)
    echo(f"{_shown(user.email)} administers this server.")


def _line(user: User, seen: Mapping[UUID, datetime]) -> str:
    notes = [note for note, holds in (("admin", user.is_admin), ("disabled", user.disabled_at is not None)) if holds]
    last = f"last here {_time(seen[user.id])}" if user.id in seen else "never here"
    return "  ".join([_shown(user.email), _shown(user.name), last, *notes])


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _shown(text: str) -> str:
    # People choose their names, and a terminal obeys some characters.
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
