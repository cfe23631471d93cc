"""A mail server on this machine that speaks SMTP for real, and keeps what it is given."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "kyrochat@example.com", "p@ss/word:1"


@dataclass(frozen=True)
class Taken:
    """A mail as it came: from and to as the envelope says, whether over TLS, and who had signed in."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    is_encrypted: bool
    signed_in: str | None


@dataclass
class MailServer:
    """Where it listens, and what it has. `refuses` is the answer to each mail, if it takes none."""

    port: int = 0
    refuses: str | None = None
    mails: "asyncio.Queue[Taken]" = field(default_factory=asyncio.Queue)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuses is not None:
            return self.refuses
        assert isinstance(envelope.content, bytes)
        message = BytesParser(policy=default).parsebytes(envelope.content)
        assert isinstance(message, EmailMessage)
        transport: Any = server.transport
        user: Any = session.auth_data
        is_encrypted = transport.get_extra_info("sslcontext") is not None
        signed_in = user.decode() if user else None
        self.mails.put_nowait(
            Taken(envelope.mail_from or "", list(envelope.rcpt_tos), message, is_encrypted, signed_in)
        )
        return "250 OK"

    async def next(self) -> Taken:
        async with asyncio.timeout(30):
            return await self.mails.get()


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, signs_in: bool = False
) -> AsyncGenerator[MailServer, None]:
    """Run a server meanwhile: in the clear, with TLS from the start, or with STARTTLS."""
    kept, loop = MailServer(), asyncio.get_running_loop()

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False, auth_data=USER.encode() if is_right else None)

    connections: list[SMTP] = []

    def protocol() -> SMTP:
        connection = SMTP(
            kept,
            hostname="mail.example.com",
            loop=loop,
            tls_context=starttls,
            authenticator=authenticate,
            # TLS from the start is none to it: then it takes names and passwords, and cannot insist on them.
            auth_required=signs_in and tls is None,
            auth_require_tls=tls is None,
            enable_SMTPUTF8=True,
        )
        connections.append(connection)
        return connection

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
    kept.port = server.sockets[0].getsockname()[1]
    async with server:
        yield kept
    for connection in connections:
        if connection.transport is not None:
            connection.transport.close()
    # Nothing of a test may be left for the garbage collection of another one to complain of.
    handlers = [connection._handler_coroutine for connection in connections if connection._handler_coroutine]
    for handler in handlers:
        handler.cancel()
    if handlers:
        await asyncio.wait(handlers)
