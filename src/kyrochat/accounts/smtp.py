"""Mail by SMTP. The library is an extra, and imported only where a server is set."""

import ipaddress
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from kyrochat.accounts.mail import Mail, MailRefused
from kyrochat.errors import ConfigurationError

TIMEOUT_S = 20.0
STARTTLS = {"required": True, "optional": None, "never": False}
FORM = "KYROCHAT_SMTP_URL is smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465 (TLS)."


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server, spoken to anew for each mail."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    # TLS from the start.
    is_tls: bool = False
    # Otherwise STARTTLS: always, never, or (None) where the server offers it.
    starttls: bool | None = True

    @classmethod
    def at(cls, url: str, sender: str) -> Self:
        """Return the server of `KYROCHAT_SMTP_URL`.

        `smtp://` insists on STARTTLS, but takes it or leaves it on this machine; `?starttls=` says otherwise.

        Raises:
            ConfigurationError: it is no such URL, the sender is no address, or the extra is not installed.
        """
        try:
            parts = urlsplit(url)
            port, options = parts.port, parse_qs(parts.query, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise ConfigurationError(FORM) from error
        usual = "optional" if _is_here(parts.hostname or "") else "required"
        choice = options.pop("starttls", [usual])[0]
        known = parts.scheme in ("smtp", "smtps") and choice in STARTTLS and not options
        if not known or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigurationError(FORM)
        if "@" not in sender or any(character in sender for character in "\r\n\x00"):
            raise ConfigurationError("KYROCHAT_MAIL_FROM is the address that mails come from: kyrochat@example.com.")
        try:
            import aiosmtplib
        except ImportError as error:
            raise ConfigurationError("To send mail, install the extra: pip install 'kyrochat[smtp]'") from error
        del aiosmtplib
        is_tls = parts.scheme == "smtps"
        return cls(
            parts.hostname,
            port or (465 if is_tls else 587),
            sender,
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            is_tls=is_tls,
            starttls=STARTTLS[choice],
        )

    async def send(self, mail: Mail) -> None:
        """Hand a mail over.

        Raises:
            MailRefused: the server does not take it, or cannot be reached.
        """
        import aiosmtplib

        message = EmailMessage()
        try:
            message["To"] = Address(addr_spec=mail.to)
        except Exception as error:  # Python's parser of addresses fails in many ways
            raise MailRefused("its address is not one that mail can go to") from error
        message["From"], message["Subject"] = self.sender, mail.subject
        message["Date"], message["Message-ID"] = format_datetime(localtime()), make_msgid(domain=_domain(self.sender))
        # No out-of-office notes, please.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        try:
            await aiosmtplib.send(
                message,
                recipients=[mail.to],
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.is_tls,
                start_tls=False if self.is_tls else self.starttls,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPException as error:
            raise MailRefused(_reason(error)) from error
        except OSError as error:
            raise MailRefused(f"the mail server cannot be reached ({type(error).__name__})") from error


def _reason(error: Exception) -> str:
    # Texts of mail servers repeat addresses; codes do not.
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].rstrip("> ")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
