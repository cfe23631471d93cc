"""Mails that tell people what was done to their account, so that who did not do it notices."""

from contextlib import suppress

from kyrochat.accounts.mail import Mail, Outbox
from kyrochat.accounts.viewer import Client
from kyrochat.db.models import User
from kyrochat.errors import Overloaded

WAS_IT_YOU = """\
If it was you, there is nothing to do. If not, somebody else can use your account: set a new password, and tell whoever
administers this server.
"""


def tell_of_new_password(outbox: Outbox | None, user: User, client: Client) -> None:
    """Have a user told that he has a new password, where there is a mail server."""
    _tell(
        outbox, user.email, "Your password was changed", user.name, client, "the password of your account was changed"
    )


def tell_of_new_email(outbox: Outbox | None, old_email: str, user: User, client: Client) -> None:
    """Have the old address told that the account has another one now, which is not said."""
    what = "this e-mail address was taken out of your account, which has another one now"
    _tell(outbox, old_email, "Your e-mail address was changed", user.name, client, what)


def _tell(outbox: Outbox | None, to: str, subject: str, name: str, client: Client, what: str) -> None:
    if outbox is None:
        return
    where = f" The request came from {client.address}." if client.address else ""
    mail = Mail(to, subject, f"Hello {name},\n\n{what}.{where}\n\n{WAS_IT_YOU}")

    async def write() -> Mail:
        return mail

    # It is done, whether or not anybody can be told.
    with suppress(Overloaded):
        outbox.post(write)
