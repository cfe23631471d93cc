"""Mail by SMTP, to a server that speaks it: what arrives, over which wire, and what is said when it is refused."""

import ssl
from pathlib import Path

import pytest
import trustme

from kyrochat.accounts.mail import Mail, MailRefused
from kyrochat.accounts.smtp import SmtpServer
from kyrochat.errors import ConfigurationError
from tests.fakes.mail_server import USER, mail_server

SENDER = "KyroChat <kyrochat@example.com>"
MAIL = Mail("ada@example.com", "Set a new password", "Hello Zoé,\n\nhere it is:\n\nhttps://chat.example.com/#kcp_abc\n")
QUOTED = "kyrochat%40example.com:p%40ss%2Fword%3A1"


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The certificate of a server on this machine, by an authority that is trusted here."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return _context(authority)


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_mail_arrives_with_what_it_needs_and_goes_to_its_address_only() -> None:
    async with mail_server() as server:
        await SmtpServer.at(f"smtp://127.0.0.1:{server.port}", SENDER).send(MAIL)
        taken = await server.next()

    assert (taken.sender, taken.recipients) == ("kyrochat@example.com", ["ada@example.com"])
    message = taken.message
    assert {name: str(message[name]) for name in ("From", "To", "Subject", "Auto-Submitted")} == {
        "From": SENDER,
        "To": "ada@example.com",
        "Subject": "Set a new password",
        "Auto-Submitted": "auto-generated",
    }
    assert message["Date"]
    assert str(message["Message-ID"]).endswith("@example.com>")
    assert message.get_content().replace("\r\n", "\n") == MAIL.text
    assert server.mails.empty()


async def test_passwords_and_mails_go_over_tls_where_the_server_has_it(certified: ssl.SSLContext) -> None:
    async with mail_server(starttls=certified, signs_in=True) as server:
        await SmtpServer.at(f"smtp://{QUOTED}@127.0.0.1:{server.port}?starttls=required", SENDER).send(MAIL)
        first = await server.next()
        await SmtpServer.at(f"smtp://{QUOTED}@127.0.0.1:{server.port}", SENDER).send(MAIL)
        second = await server.next()
    async with mail_server(tls=certified, signs_in=True) as server:
        await SmtpServer.at(f"smtps://{QUOTED}@127.0.0.1:{server.port}", SENDER).send(MAIL)
        third = await server.next()

    assert [(one.is_encrypted, one.signed_in) for one in (first, second, third)] == [(True, USER)] * 3


async def test_a_server_without_starttls_gets_nothing_where_that_is_required() -> None:
    async with mail_server() as server:
        with pytest.raises(MailRefused):
            await SmtpServer.at(f"smtp://127.0.0.1:{server.port}?starttls=required", SENDER).send(MAIL)
        assert server.mails.empty()


async def test_a_certificate_of_somebody_else_gets_nothing(certified: ssl.SSLContext) -> None:
    async with mail_server(starttls=_context(trustme.CA())) as server:
        with pytest.raises(MailRefused):
            await SmtpServer.at(f"smtp://127.0.0.1:{server.port}", SENDER).send(MAIL)
        assert server.mails.empty()


async def test_a_refusal_is_told_by_its_code_without_an_address() -> None:
    async with mail_server() as server:
        server.refuses = "554 5.7.1 <ada@example.com> is not welcome"
        with pytest.raises(MailRefused) as refused:
            await SmtpServer.at(f"smtp://127.0.0.1:{server.port}", SENDER).send(MAIL)
    assert "554" in str(refused.value)
    assert "ada" not in str(refused.value)


async def test_a_server_that_is_not_there_is_told_as_such() -> None:
    async with mail_server() as server:
        port = server.port
    with pytest.raises(MailRefused, match="Connect"):
        await SmtpServer.at(f"smtp://127.0.0.1:{port}", SENDER).send(MAIL)


@pytest.mark.parametrize("address", ["a,bob@example.com", "<a>@example.com", "a@[x", '"@example.com', "a;b@c"])
async def test_what_is_one_address_to_us_and_two_to_a_mail_server_gets_nothing(address: str) -> None:
    async with mail_server() as server:
        with pytest.raises(MailRefused) as refused:
            await SmtpServer.at(f"smtp://127.0.0.1:{server.port}", SENDER).send(Mail(address, "Subject", "Text"))
        assert server.mails.empty()
    assert address not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 587, False, True)),
        ("smtps://mail.example.com", ("mail.example.com", 465, True, True)),
        ("smtp://mail.example.com:25?starttls=never", ("mail.example.com", 25, False, False)),
        ("smtp://mail.example.com?starttls=optional", ("mail.example.com", 587, False, None)),
        ("smtp://localhost:25", ("localhost", 25, False, None)),
        ("smtp://[::1]:25/", ("::1", 25, False, None)),
    ],
)
def test_a_url_says_how_to_speak(url: str, expected: tuple[str, int, bool, bool | None]) -> None:
    server = SmtpServer.at(url, SENDER)
    assert (server.host, server.port, server.is_tls, server.starttls) == expected
    assert (server.username, server.password) == (None, None)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com:99999",
        "smtp://mail.example.com/folder",
        "smtp://mail.example.com?starttls=perhaps",
        "smtp://mail.example.com?tls=yes",
        "smtp://[mail",
    ],
)
def test_a_url_that_will_not_do_is_told_without_what_is_in_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="KYROCHAT_SMTP_URL") as refused:
        SmtpServer.at(url.replace("mail", "secret"), SENDER)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("sender", ["", "kyrochat", "a@b.c\nBcc: d@e.f"])
def test_a_sender_that_will_not_do_is_told(sender: str) -> None:
    with pytest.raises(ConfigurationError, match="KYROCHAT_MAIL_FROM"):
        SmtpServer.at("smtp://mail.example.com", sender)


def test_a_password_is_not_shown_by_accident() -> None:
    assert "p@ss" not in repr(SmtpServer.at(f"smtp://{QUOTED}@mail.example.com", SENDER))
