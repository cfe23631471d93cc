"""Whoever has a mail server tells people what was done to their account, at the address where they were until then."""

from dataclasses import replace

import pytest

from kyrochat.accounts.mail import Mail, Outbox
from kyrochat.accounts.registration import EmailTaken
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.errors import InvalidCredentials
from tests.accounts.letterbox import Letterbox
from tests.accounts.scene import LAPTOP, PASSWORD, Doors

NEW = "four odd words here"


@pytest.fixture
async def ada(doors: Doors) -> Viewer:
    return await doors.enter()


def with_mail(doors: Doors, outbox: Outbox) -> Doors:
    credentials = replace(doors.credentials, outbox=outbox)
    return replace(doors, credentials=credentials, resets=replace(doors.resets, outbox=outbox))


async def test_a_new_password_is_told_at_the_address(doors: Doors, ada: Viewer, letterbox: Letterbox) -> None:
    outbox = Outbox(letterbox)
    async with outbox.delivering():
        await with_mail(doors, outbox).credentials.change_password(ada, PASSWORD, NEW)

    (mail,) = letterbox.mails
    assert (mail.to, mail.subject) == ("ada@example.com", "Your password was changed")
    assert LAPTOP.address in mail.text
    assert NEW not in mail.text


async def test_so_is_one_that_a_link_has_set(doors: Doors, ada: Viewer, letterbox: Letterbox) -> None:
    outbox = Outbox(letterbox)
    link = await doors.resets.create_link(Operator(), ada.user_id)
    async with outbox.delivering():
        await with_mail(doors, outbox).resets.reset(link.token, NEW, LAPTOP)

    assert [mail.subject for mail in letterbox.mails] == ["Your password was changed"]


async def test_a_new_address_is_told_at_the_old_one_and_not_named_there(
    doors: Doors, ada: Viewer, letterbox: Letterbox
) -> None:
    outbox = Outbox(letterbox)
    async with outbox.delivering():
        await with_mail(doors, outbox).credentials.change_email(ada, PASSWORD, "thief@example.net")

    (mail,) = letterbox.mails
    assert (mail.to, mail.subject) == ("ada@example.com", "Your e-mail address was changed")
    assert "thief" not in mail.text


async def test_what_did_not_happen_is_not_told(doors: Doors, ada: Viewer, letterbox: Letterbox) -> None:
    await doors.enter("bob@example.com")
    outbox = Outbox(letterbox)
    async with outbox.delivering():
        credentials = with_mail(doors, outbox).credentials
        with pytest.raises(InvalidCredentials):
            await credentials.change_password(ada, "wrong", NEW)
        with pytest.raises(EmailTaken):
            await credentials.change_email(ada, PASSWORD, "bob@example.com")
        await credentials.change_email(ada, PASSWORD, "ADA@example.com")

    assert letterbox.mails == []


async def test_a_full_outbox_holds_nothing_up(doors: Doors, ada: Viewer, letterbox: Letterbox) -> None:
    async def nothing() -> Mail | None:
        return None

    outbox = Outbox(letterbox)
    for _ in range(100):
        outbox.post(nothing)

    assert await with_mail(doors, outbox).credentials.change_password(ada, PASSWORD, NEW)

    assert (await doors.login(password=NEW)).user.id == ada.user_id
