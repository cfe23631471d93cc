"""`kyrochat users`: what an operator does with accounts, beside servers or without any."""

import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from kyrochat.accounts.account_rules import normal_email
from kyrochat.accounts.administration import Administration
from kyrochat.accounts.invitations import InvitationService
from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.resets import PasswordResetService
from kyrochat.accounts.user_repository import UserStatus
from kyrochat.accounts.viewer import Operator
from kyrochat.db.access import database_access
from kyrochat.db.changes import JOBS_TOPIC, Changes
from kyrochat.db.keyset import MAX_PAGE, PageRequest
from kyrochat.db.models import User
from kyrochat.errors import Conflict, NotFound
from kyrochat.local import opened
from kyrochat.settings import Settings

Echo = Callable[..., Any]
OPERATOR = Operator()
DELETION_POLL_S = 0.5


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


async def export(settings: Settings, echo: Echo, email: str, path: Path) -> None:
    """Write all of somebody's data to a new file, which only its owner may read.

    Raises:
        NotFound: nobody has that e-mail address, or the account is disabled.
        Conflict: there is a file, or it cannot be written.
    """
    async with opened(settings) as runtime:
        exports = runtime.services.exports
        viewers = await runtime.services.accounts.local_viewers(email)
        if not viewers:
            raise NotFound(f"account that works as {email}")
        size = 0
        try:
            with _new_file(path) as file:
                async with aclosing(exports.archive(viewers[0])) as pieces:
                    async for piece in pieces:
                        file.write(piece)
                        size += len(piece)
        except OSError as error:
            raise Conflict(f"{path} cannot be written ({error.strerror}).") from error
        await exports.note(OPERATOR, viewers[0])
    echo(f"{path}: all data of {_shown(normal_email(email))}, {size:,} bytes.")


async def delete(settings: Settings, echo: Echo, email: str) -> None:
    """Delete an account, and wait until all that was its person's is removed.

    Raises:
        NotFound: nobody has that e-mail address.
        Conflict: others need the person: as the owner of a workspace, or as the last administrator.
    """
    async with opened(settings) as runtime:
        erasure = await runtime.services.erasure.delete(OPERATOR, email)
        echo(
            f"The account {_shown(normal_email(email))} has ended. Removing what was in it; "
            "if this is interrupted, the next server or worker goes on …"
        )
        with runtime.changes.watch(JOBS_TOPIC) as bell:
            while not await runtime.services.erasure.is_done(erasure):
                await bell.wait(DELETION_POLL_S)
    echo("Removed: rows, files and vectors.")


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink()  # half an archive is none
        raise


def _line(user: User, seen: Mapping[UUID, datetime]) -> str:
    notes = [note for note, holds in (("admin", user.is_admin), ("disabled", user.disabled_at is not None)) if holds]
    last = f"last here {_time(seen[user.id])}" if user.id in seen else "never here"
    return "  ".join([_shown(user.email), _shown(user.name), last, *notes])


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _shown(text: str) -> str:
    # People choose their names, and a terminal obeys some characters.
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
