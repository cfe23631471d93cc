"""Where mails end up in tests that are not about SMTP."""

import asyncio
from dataclasses import dataclass, field

from kyrochat.accounts.mail import Mail


@dataclass
class Letterbox:
    """A mail server that keeps what it is given, as soon as it is open."""

    mails: list[Mail] = field(default_factory=list)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, mail: Mail) -> None:
        await self.is_open.wait()
        self.mails.append(mail)
