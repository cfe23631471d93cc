"""Mail to people: what a server for it must be able to do, and a queue that nobody waits for."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from kyrochat.errors import Overloaded

# More mails than this in line are an attack, or a mail server that is away.
MAX_WAITING = 100
# What is in line when the process stops gets this long.
GRACE_S = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mail:
    """A text for one person."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)


class MailServer(Protocol):
    """Takes mails."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over.

        Raises:
            MailRefused: the server does not take it, or cannot be reached.
        """


class MailRefused(Exception):
    """A mail was not taken. The message has no address in it."""


Write = Callable[[], Awaitable[Mail | None]]


@dataclass(slots=True, eq=False)
class Outbox:
    """Writes and sends mails one after the other, in the background: whoever asks for one learns nothing by waiting."""

    server: MailServer
    _waiting: "asyncio.Queue[Write]" = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))

    def post(self, write: Write) -> None:
        """Have a mail written and sent; when `write` returns None there is none to send.

        Raises:
            Overloaded: too many are in line.
        """
        try:
            self._waiting.put_nowait(write)
        except asyncio.QueueFull as error:
            raise Overloaded from error

    @asynccontextmanager
    async def delivering(self) -> AsyncGenerator[None, None]:
        """Deliver meanwhile, and at the end what is left, within `GRACE_S`."""
        task = asyncio.create_task(self._deliver(), name="outbox")
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(GRACE_S):
                    await self._waiting.join()
            except TimeoutError:
                log.warning("%d mails were not sent", self._waiting.qsize() + 1)
            task.cancel()
            await asyncio.wait([task])

    async def _deliver(self) -> None:
        while True:
            write = await self._waiting.get()
            try:
                mail = await write()
                if mail is not None:
                    await self.server.send(mail)
            except MailRefused as error:
                log.warning("A mail was not sent: %s", error)
            except Exception as error:  # the next mail may be luckier
                log.warning("A mail was not sent (%s)", type(error).__name__)
            finally:
                self._waiting.task_done()
