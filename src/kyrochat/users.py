"""`kyrochat users …`: what an operator does about people, on the server's machine."""

from collections.abc import Callable
from typing import Any

from kyrochat.accounts.viewer import Operator
from kyrochat.local import opened
from kyrochat.settings import Settings

Echo = Callable[..., Any]


async def invite(settings: Settings, echo: Echo, email: str | None, days: int) -> None:
    """Print a link with which one person can make an account.

    Raises:
        InvalidInput: that is no e-mail address, or the days are out of range.
    """
    async with opened(settings) as runtime:
        link = await runtime.services.invitations.create_for_site(Operator(), email, days)
    for_whom = f"For {link.invitation.email} only" if link.invitation.email else "For whoever has it"
    echo(link.url)
    echo(f"{for_whom}, once, until {link.invitation.expires_at:%Y-%m-%d %H:%M} UTC. Shown only now.")
