"""Changing password, address and name: proven with the password, and ending what others may hold."""

from dataclasses import replace

import pytest
from sqlmodel import select

from kyrochat.accounts.registration import EmailTaken
from kyrochat.accounts.viewer import KeyLimits, Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import PasswordReset, User
from kyrochat.errors import Forbidden, InvalidCredentials, InvalidInput, KyroError, RateLimited
from kyrochat.rates.counters import MemoryCounters
from kyrochat.rates.service import Rates
from tests.accounts.conftest import CountingHasher
from tests.accounts.scene import LAPTOP, PASSWORD, Doors, Entry, acts, entries
from tests.rates.conftest import KEY, Clock

NEW = "four odd words here"


@pytest.fixture
async def ada(doors: Doors) -> Viewer:
    return await doors.enter()


async def users(database: Database) -> list[User]:
    async with database.begin() as session:
        return list((await session.exec(select(User))).all())


async def test_a_new_password_signs_in_and_the_old_one_does_not(doors: Doors, ada: Viewer, database: Database) -> None:
    user = await doors.credentials.change_password(ada, PASSWORD, NEW)

    assert (user.id, user.email) == (ada.user_id, "ada@example.com")
    assert (await doors.login(password=NEW)).user.id == ada.user_id
    with pytest.raises(InvalidCredentials):
        await doors.login()
    assert NEW not in str(await users(database))


async def test_a_new_password_ends_all_sessions_but_this_one_and_all_links(
    doors: Doors, ada: Viewer, database: Database
) -> None:
    other = await doors.login()
    bob = await doors.enter("bob@example.com")
    link = await doors.resets.create_link(ada, ada.user_id)
    bobs_link = await doors.resets.create_link(ada, bob.user_id)

    await doors.credentials.change_password(ada, PASSWORD, NEW)

    assert not await doors.is_open(other)
    with pytest.raises(InvalidCredentials):
        await doors.refresh(other.refresh_token)
    assert await doors.sessions.count(ada) == 1
    assert await doors.sessions.count(bob) == 1
    with pytest.raises(InvalidCredentials):
        await doors.resets.reset(link.token, "another one, longer", LAPTOP)
    assert await doors.resets.reset(bobs_link.token, "another one, longer", LAPTOP)
    assert Entry("PASSWORD_CHANGED", ada.user_id, ada.user_id, LAPTOP.address, {"sessions_ended": 1}) in await entries(
        database
    )


@pytest.mark.parametrize("wrong", ["", "wrong horse battery", "x" * 1_000_000, PASSWORD.upper()])
async def test_without_the_current_password_nothing_changes_and_the_attempt_is_written_down(
    doors: Doors, ada: Viewer, database: Database, wrong: str
) -> None:
    before = await users(database)

    for attempt in (
        doors.credentials.change_password(ada, wrong, NEW),
        doors.credentials.change_email(ada, wrong, "countess@example.com"),
    ):
        with pytest.raises(InvalidCredentials, match="current password is wrong"):
            await attempt

    assert await users(database) == before
    assert await doors.sessions.count(ada) == 1
    assert (await entries(database))[1:] == [
        Entry("SIGN_IN_FAILED", ada.user_id, ada.user_id, LAPTOP.address, {}),
    ] * 2


async def test_guessing_the_current_password_is_limited_like_guessing_it_at_the_door(
    doors: Doors, ada: Viewer, hasher: CountingHasher
) -> None:
    rates = Rates(KEY, local=MemoryCounters(clock=Clock()))
    limited = replace(doors.credentials, rates=rates)
    hasher.verified.clear()

    for number in range(10):
        with pytest.raises(InvalidCredentials):
            await limited.change_email(ada, f"guess {number}", "countess@example.com")
    for attempt in (
        limited.change_email(ada, PASSWORD, "countess@example.com"),
        limited.change_password(ada, PASSWORD, NEW),
        replace(doors.sessions, rates=rates).login("ada@example.com", PASSWORD, ada.client),
    ):
        with pytest.raises(RateLimited):
            await attempt

    assert len(hasher.verified) == 10
    assert (await doors.accounts.me(ada)).email == "ada@example.com"


@pytest.mark.parametrize("password", ["short", "password", "ada@example.com", "x" * 1_025])
async def test_a_new_password_that_breaks_a_rule_is_told_before_anything_is_hashed(
    doors: Doors, ada: Viewer, hasher: CountingHasher, password: str
) -> None:
    hasher.verified.clear()
    hashed = hasher.hashed

    with pytest.raises(InvalidInput) as refused:
        await doors.credentials.change_password(ada, PASSWORD, password)

    assert [issue.path for issue in refused.value.issues] == [("newPassword",)]
    assert (hasher.verified, hasher.hashed) == ([], hashed)
    assert await doors.login()


async def test_a_new_address_signs_in_and_the_old_one_does_not(doors: Doors, ada: Viewer, database: Database) -> None:
    other = await doors.login()

    user = await doors.credentials.change_email(ada, PASSWORD, " Countess@Example.com ")

    assert user.email == "countess@example.com"
    assert (await doors.login("countess@example.com")).user.id == ada.user_id
    with pytest.raises(InvalidCredentials):
        await doors.login("ada@example.com")
    # The password is the same, so the sessions are.
    assert await doors.is_open(other)
    assert Entry("EMAIL_CHANGED", ada.user_id, ada.user_id, LAPTOP.address, {}) in await entries(database)


async def test_links_that_went_to_the_old_address_do_not_work_any_more(
    doors: Doors, ada: Viewer, database: Database
) -> None:
    link = await doors.resets.create_link(ada, ada.user_id)

    await doors.credentials.change_email(ada, PASSWORD, "countess@example.com")

    with pytest.raises(InvalidCredentials):
        await doors.resets.reset(link.token, NEW, LAPTOP)
    async with database.begin() as session:
        assert (await session.exec(select(PasswordReset))).all() == []


async def test_an_address_that_somebody_has_is_refused_and_nothing_changes(
    doors: Doors, ada: Viewer, database: Database
) -> None:
    await doors.enter("bob@example.com")
    before = await acts(database)

    with pytest.raises(EmailTaken):
        await doors.credentials.change_email(ada, PASSWORD, "BOB@example.com")

    assert (await doors.accounts.me(ada)).email == "ada@example.com"
    assert await acts(database) == before


@pytest.mark.parametrize("email", ["", "nobody", "a\x00@example.com", "a@b@c", "x" * 255])
async def test_what_is_no_address_is_refused(doors: Doors, ada: Viewer, email: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await doors.credentials.change_email(ada, PASSWORD, email)
    assert [issue.path for issue in refused.value.issues] == [("newEmail",)]


async def test_somebody_changes_how_he_is_called(doors: Doors, ada: Viewer) -> None:
    assert (await doors.accounts.rename(ada, "  Ada King ")).name == "Ada King"
    assert (await doors.accounts.me(ada)).name == "Ada King"
    for name in ("", " ", "x" * 101, "a\x00b"):
        with pytest.raises(InvalidInput):
            await doors.accounts.rename(ada, name)
    assert (await doors.accounts.me(ada)).name == "Ada King"


async def test_keys_change_nothing_about_accounts(doors: Doors, ada: Viewer, database: Database) -> None:
    key = replace(ada, session_id=None, key=KeyLimits(new_id(), frozenset()))
    before = await users(database)

    attempts = (
        doors.credentials.change_password(key, PASSWORD, NEW),
        doors.credentials.change_email(key, PASSWORD, "countess@example.com"),
        doors.accounts.rename(key, "Ada King"),
        doors.users.set_admin(key, ada.user_id, is_admin=False),
        doors.users.set_disabled(key, ada.user_id, disabled=True),
        doors.resets.create_link(key, ada.user_id),
        doors.users.find(key, "ada@example.com"),
    )
    for attempt in attempts:
        with pytest.raises(KyroError) as refused:
            await attempt
        assert refused.type is Forbidden

    assert await users(database) == before
