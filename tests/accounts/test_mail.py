"""The outbox: nobody waits for it, one bad mail does not hold up the next, and a shutdown loses none that can go."""

import asyncio
import logging

import pytest

from kyrochat.accounts import mail as mail_module
from kyrochat.accounts.mail import Mail, MailRefused, Outbox


class Postman:
    """Takes mails to anybody but Bob."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def send(self, mail: Mail) -> None:
        if mail.to == "bob@example.com":
            raise MailRefused("SMTPRecipientsRefused 550")
        self.taken.append(mail.to)


async def write(name: str) -> Mail | None:
    if name == "nobody":
        return None
    if name == "bug":
        raise LookupError(f"{name}@example.com")
    return Mail(f"{name}@example.com", "Subject", "Text")


async def test_what_goes_wrong_with_one_mail_is_logged_without_an_address_and_the_next_one_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    postman = Postman()
    outbox = Outbox(postman)
    with caplog.at_level(logging.INFO):
        async with outbox.delivering():
            for name in ("ada", "bob", "nobody", "bug", "zoe"):
                outbox.post(lambda name=name: write(name))  # type: ignore[misc]

    assert postman.taken == ["ada@example.com", "zoe@example.com"]
    assert [record.getMessage() for record in caplog.records] == [
        "A mail was not sent: SMTPRecipientsRefused 550",
        "A mail was not sent (LookupError)",
    ]
    assert "example.com" not in caplog.text


async def test_a_mail_server_that_hangs_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging:
        async def send(self, mail: Mail) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(mail_module, "GRACE_S", 0.05)
    outbox = Outbox(Hanging())
    with caplog.at_level(logging.WARNING):
        async with outbox.delivering():
            for name in ("ada", "bob"):
                outbox.post(lambda name=name: write(name))  # type: ignore[misc]

    assert caplog.messages == ["2 mails were not sent"]
