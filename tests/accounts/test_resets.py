"""Forgotten passwords: a link from an administrator or by mail, good once, for half an hour, and for one account."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func
from sqlmodel import select, update

from kyrochat.accounts.mail import Mail, Outbox
from kyrochat.accounts.resets import ResetLink
from kyrochat.accounts.sessions import SignedIn
from kyrochat.accounts.sweep import Sweep
from kyrochat.accounts.tokens import RESET_PREFIX, new_secret, secret_hash
from kyrochat.accounts.viewer import Client, Operator, Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import PasswordReset
from kyrochat.errors import (
    Conflict,
    Forbidden,
    InvalidCredentials,
    InvalidInput,
    NotConfigured,
    NotFound,
    Overloaded,
    RateLimited,
    Unauthenticated,
)
from kyrochat.rates.counters import MemoryCounters
from kyrochat.rates.service import Rates
from tests.accounts.conftest import CountingHasher
from tests.accounts.letterbox import Letterbox
from tests.accounts.scene import LAPTOP, PASSWORD, Doors, Entry, acts, entries
from tests.rates.conftest import KEY, Clock

NEW = "four odd words here"
STRANGER = Client("203.0.113.5", "curl")


@pytest.fixture
async def root(doors: Doors) -> Viewer:
    """The administrator."""
    return await doors.enter("root@example.com")


@pytest.fixture
async def ada(doors: Doors, root: Viewer) -> SignedIn:
    return await doors.register()


async def mailed(doors: Doors, letterbox: Letterbox, *emails: str) -> list[Mail]:
    """Ask for links, and return the mails that follow."""
    outbox = Outbox(letterbox)
    async with outbox.delivering():
        resets = replace(doors.resets, outbox=outbox)
        for email in emails:
            await resets.request(email, STRANGER)
    return letterbox.mails


async def test_a_link_sets_a_password_ends_all_sessions_and_signs_nobody_in(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    link = await doors.resets.create_link(root, ada.user.id)

    user = await doors.resets.reset(link.token, NEW, STRANGER)

    assert (user.id, user.email) == (ada.user.id, "ada@example.com")
    assert not await doors.is_open(ada)
    assert (await doors.login(password=NEW)).user.id == ada.user.id
    with pytest.raises(InvalidCredentials):
        await doors.login()
    assert (await entries(database))[2:4] == [
        Entry("PASSWORD_RESET_REQUESTED", root.user_id, ada.user.id, LAPTOP.address, {"by": "link"}),
        Entry("PASSWORD_RESET", None, ada.user.id, STRANGER.address, {"sessions_ended": 1}),
    ]


async def test_a_link_is_of_the_servers_address_and_keeps_its_token_from_logs(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    link = await doors.resets.create_link(root, ada.user.id)

    assert link.url == f"https://chat.example.com/reset-password#{link.token}"
    assert timedelta(minutes=29) < link.expires_at - datetime.now(UTC) <= timedelta(minutes=30)
    assert link.token not in repr(link)
    async with database.begin() as session:
        (row,) = (await session.exec(select(PasswordReset))).all()
    assert (row.token_hash, row.expires_at) == (secret_hash(link.token), link.expires_at)


async def test_of_ten_uses_at_once_one_works(doors: Doors, root: Viewer, ada: SignedIn, database: Database) -> None:
    link = await doors.resets.create_link(root, ada.user.id)

    ends = await asyncio.gather(
        *(doors.resets.reset(link.token, f"{NEW} {n}", LAPTOP) for n in range(10)), return_exceptions=True
    )

    assert sorted(type(end).__name__ for end in ends) == ["InvalidCredentials"] * 9 + ["User"]
    assert (await acts(database)).count("PASSWORD_RESET") == 1
    (winner,) = [n for n, end in enumerate(ends) if not isinstance(end, BaseException)]
    assert await doors.login(password=f"{NEW} {winner}")


async def worthless(doors: Doors, token: str) -> None:
    with pytest.raises(InvalidCredentials, match="does not work any more"):
        await doors.resets.reset(token, NEW, STRANGER)


async def test_a_newer_link_takes_the_place_of_those_before(doors: Doors, root: Viewer, ada: SignedIn) -> None:
    links = [await doors.resets.create_link(root, ada.user.id) for _ in range(3)]

    for link in links[:2]:
        await worthless(doors, link.token)
    assert await doors.resets.reset(links[2].token, NEW, LAPTOP)


async def test_a_link_ends_after_half_an_hour_and_is_swept_away(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    old = await doors.resets.create_link(root, ada.user.id)
    async with database.begin() as session:
        await session.exec(update(PasswordReset).values(expires_at=func.now() - timedelta(seconds=1)))
    fresh = await doors.resets.create_link(root, root.user_id)

    await worthless(doors, old.token)
    await Sweep(database).once()

    async with database.begin() as session:
        assert (await session.exec(select(PasswordReset.token_hash))).all() == [secret_hash(fresh.token)]
    assert await doors.login()


async def test_what_is_no_token_sets_nothing_and_costs_no_hash(
    doors: Doors, root: Viewer, ada: SignedIn, hasher: CountingHasher
) -> None:
    await doors.resets.create_link(root, ada.user.id)
    hashed = hasher.hashed

    for token in ("", new_secret(RESET_PREFIX), ada.access_token, ada.refresh_token, "\x00", "\ud800", "x" * 1_000_000):
        await worthless(doors, token)

    assert hasher.hashed == hashed
    assert await doors.is_open(ada)


async def test_a_links_token_is_good_for_nothing_else(doors: Doors, root: Viewer, ada: SignedIn) -> None:
    link = await doors.resets.create_link(root, ada.user.id)

    for attempt in (
        doors.viewer_of(link.token),
        doors.refresh(link.token),
        doors.login(password=link.token),
    ):
        with pytest.raises((InvalidCredentials, Unauthenticated), match=r"not valid|wrong"):
            await attempt


@pytest.mark.parametrize("password", ["short", "password", "ada@example.com", "x" * 1_025])
async def test_a_password_that_breaks_a_rule_does_not_use_the_link_up(
    doors: Doors, root: Viewer, ada: SignedIn, password: str
) -> None:
    link = await doors.resets.create_link(root, ada.user.id)

    with pytest.raises(InvalidInput) as refused:
        await doors.resets.reset(link.token, password, LAPTOP)

    assert [issue.path for issue in refused.value.issues] == [("newPassword",)]
    assert await doors.resets.reset(link.token, NEW, LAPTOP)


async def test_only_administrators_and_the_operator_make_links(doors: Doors, root: Viewer, ada: SignedIn) -> None:
    viewer = await doors.viewer_of(ada.access_token)

    with pytest.raises(Forbidden):
        await doors.resets.create_link(viewer, ada.user.id)
    with pytest.raises(Forbidden):
        await doors.resets.create_link(viewer, root.user_id)

    link = await doors.resets.create_link(Operator(), ada.user.id)
    assert await doors.resets.reset(link.token, NEW, LAPTOP)
    with pytest.raises(NotFound):
        await doors.resets.create_link(root, new_id())


async def test_a_disabled_account_gets_no_link_and_one_from_before_does_not_work(
    doors: Doors, root: Viewer, ada: SignedIn, letterbox: Letterbox
) -> None:
    link = await doors.resets.create_link(root, ada.user.id)
    await doors.users.set_disabled(root, ada.user.id, disabled=True)

    await worthless(doors, link.token)
    with pytest.raises(Conflict, match="disabled"):
        await doors.resets.create_link(root, ada.user.id)
    assert await mailed(doors, letterbox, "ada@example.com") == []


async def test_without_a_mail_server_whoever_asks_is_told_how_else_to_get_a_link(
    doors: Doors, ada: SignedIn, database: Database
) -> None:
    before = await acts(database)
    with pytest.raises(NotConfigured, match="kyrochat users reset-link"):
        await doors.resets.request("ada@example.com", STRANGER)
    assert await acts(database) == before


async def test_a_link_by_mail_goes_to_the_address_of_the_account_and_works(
    doors: Doors, ada: SignedIn, letterbox: Letterbox, database: Database
) -> None:
    (mail,) = await mailed(doors, letterbox, " ADA@example.com")

    assert mail.to == "ada@example.com"
    (url,) = [line for line in mail.text.splitlines() if line.startswith("https://")]
    assert PASSWORD not in mail.text
    assert (await entries(database))[-1] == Entry(
        "PASSWORD_RESET_REQUESTED", None, ada.user.id, STRANGER.address, {"by": "mail"}
    )
    assert await doors.resets.reset(url.partition("#")[2], NEW, STRANGER)
    assert await doors.login(password=NEW)


async def test_for_an_address_without_an_account_nothing_differs_but_that_no_mail_is_sent(
    doors: Doors, ada: SignedIn, letterbox: Letterbox, database: Database
) -> None:
    assert await mailed(doors, letterbox, "nobody@example.com", "", "a\x00b", "x" * 100_000) == []

    unknown = [entry for entry in await entries(database) if entry.act == "PASSWORD_RESET_REQUESTED"]
    assert unknown == [Entry("PASSWORD_RESET_REQUESTED", None, None, STRANGER.address, {"by": "mail"})] * 4


async def test_asking_does_no_work_that_differs_so_that_the_clock_tells_nothing(
    doors: Doors, ada: SignedIn, letterbox: Letterbox, database: Database
) -> None:
    outbox, before = Outbox(letterbox), await acts(database)

    for email in ("ada@example.com", "nobody@example.com"):
        await replace(doors.resets, outbox=outbox).request(email, STRANGER)

    # All of it happens afterwards, in the background.
    assert await acts(database) == before
    async with outbox.delivering():
        pass
    assert [mail.to for mail in letterbox.mails] == ["ada@example.com"]
    assert await acts(database) == [*before, "PASSWORD_RESET_REQUESTED", "PASSWORD_RESET_REQUESTED"]


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_the_fourth_mail_in_an_hour_is_refused_whether_or_not_there_is_an_account(
    doors: Doors, ada: SignedIn, letterbox: Letterbox, email: str
) -> None:
    resets = replace(doors.resets, outbox=Outbox(letterbox), rates=Rates(KEY, local=MemoryCounters(clock=Clock())))
    for number in range(3):
        await resets.request(email, Client(f"2001:db8:{number}::1"))

    for spelling in (email, email.upper(), f" {email}"):
        with pytest.raises(RateLimited):
            await resets.request(spelling, STRANGER)

    await resets.request("bob@example.com", STRANGER)


async def test_more_mails_than_fit_in_line_are_refused_alike_for_every_address(
    doors: Doors, ada: SignedIn, letterbox: Letterbox
) -> None:
    resets = replace(doors.resets, outbox=Outbox(letterbox))
    for _ in range(100):
        await resets.request("nobody@example.com", STRANGER)
    for email in ("ada@example.com", "nobody@example.com"):
        with pytest.raises(Overloaded):
            await resets.request(email, STRANGER)


def test_a_link_does_not_show_what_it_holds_by_accident(ada: SignedIn) -> None:
    link = ResetLink(ada.user, "kcp_secret", "https://chat.example.com/reset-password#kcp_secret", datetime.now(UTC))
    assert "kcp_secret" not in repr(link)
