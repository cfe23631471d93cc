"""Sign-ins as people see them: where they are, how they end, and what the audit log keeps of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func
from sqlmodel import col, select, update

from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.presence import Presences
from kyrochat.accounts.session_repository import ends_at
from kyrochat.accounts.sweep import Sweep
from kyrochat.accounts.viewer import Client, KeyLimits, Viewer
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import UsedRefreshToken, User, UserSession
from kyrochat.errors import Forbidden, InvalidCredentials, NotFound
from tests.accounts.conftest import CountingHasher
from tests.accounts.scene import LAPTOP, PASSWORD, Doors, Entry, acts, entries

PHONE = Client("198.51.100.7", "Phone/1.0")


async def stored(database: Database) -> list[UserSession]:
    async with database.begin() as session:
        return list((await session.exec(select(UserSession).order_by(col(UserSession.id)))).all())


async def test_somebody_sees_his_sessions_with_where_they_were_opened_and_nobody_elses(doors: Doors) -> None:
    laptop = await doors.register()
    await doors.sessions.login("ada@example.com", PASSWORD, PHONE)
    await doors.enter("bob@example.com")
    viewer = await doors.viewer_of(laptop.access_token)

    page = await doors.sessions.page(viewer, PageRequest(10))

    assert [(row.address, row.user_agent) for row in page.rows] == [
        (PHONE.address, PHONE.user_agent),
        (LAPTOP.address, LAPTOP.user_agent),
    ]
    assert page.rows[1].id == viewer.session_id
    assert await doors.sessions.count(viewer) == 2
    assert {ends_at(row) - row.refreshed_at for row in page.rows} == {timedelta(days=14)}


async def test_sessions_that_have_ended_in_any_way_are_not_shown(doors: Doors, database: Database) -> None:
    viewer = await doors.enter()
    for values in (
        {"revoked_at": func.now()},
        {"expires_at": func.now()},
        {"refreshed_at": func.now() - timedelta(days=14)},
    ):
        await doors.login()
        newest = (await stored(database))[-1].id
        async with database.begin() as session:
            await session.exec(update(UserSession).where(col(UserSession.id) == newest).values(**values))

    page = await doors.sessions.page(viewer, PageRequest(10))

    assert [row.id for row in page.rows] == [viewer.session_id]
    assert await doors.sessions.count(viewer) == 1


async def test_a_session_can_be_ended_from_another_one(doors: Doors, database: Database) -> None:
    lost = await doors.register()
    viewer = await doors.viewer_of((await doors.login()).access_token)
    lost_id = (await stored(database))[0].id

    await doors.sessions.end_one(viewer, lost_id)

    assert not await doors.is_open(lost)
    with pytest.raises(InvalidCredentials):
        await doors.refresh(lost.refresh_token)
    assert await doors.sessions.count(viewer) == 1
    with pytest.raises(NotFound):
        await doors.sessions.end_one(viewer, lost_id)
    assert (await entries(database))[-1] == Entry("SESSIONS_ENDED", viewer.user_id, None, LAPTOP.address, {"count": 1})


async def test_nobody_ends_a_session_of_somebody_else(doors: Doors, database: Database) -> None:
    ada = await doors.register()
    bob = await doors.enter("bob@example.com")
    ada_session = (await stored(database))[0].id
    before = await acts(database)

    for session_id in (ada_session, new_id()):
        with pytest.raises(NotFound):
            await doors.sessions.end_one(bob, session_id)
    assert await doors.sessions.many(bob, [ada_session]) == []

    assert await doors.is_open(ada)
    assert await acts(database) == before


@pytest.mark.parametrize(("keep_current", "count"), [(False, 3), (True, 2)])
async def test_signing_out_everywhere_ends_all_sessions_or_all_but_this_one(
    doors: Doors, database: Database, keep_current: bool, count: int
) -> None:
    others = [await doors.register(), await doors.login()]
    current = await doors.login()
    bob = await doors.register("bob@example.com")
    viewer = await doors.viewer_of(current.access_token)

    assert await doors.sessions.logout_everywhere(viewer, keep_current=keep_current) == count

    assert [await doors.is_open(one) for one in (*others, current, bob)] == [False, False, keep_current, True]
    assert (await entries(database))[-1].details == {"count": count}


async def test_signing_out_is_written_down_once(doors: Doors, database: Database) -> None:
    viewer = await doors.enter()

    assert await doors.sessions.logout(viewer)
    assert not await doors.sessions.logout(viewer)

    assert await entries(database) == [
        Entry("ACCOUNT_REGISTERED", viewer.user_id, None, LAPTOP.address, {"is_admin": True}),
        Entry("SIGNED_OUT", viewer.user_id, None, LAPTOP.address, {}),
    ]


async def test_sign_ins_are_written_down_without_a_word_of_what_was_typed(doors: Doors, database: Database) -> None:
    ada = await doors.register()
    await doors.sessions.login("ada@example.com", PASSWORD, PHONE)
    for email, password in (("ada@example.com", "my other secret"), ("my secret typed here", PASSWORD)):
        with pytest.raises(InvalidCredentials):
            await doors.sessions.login(email, password, PHONE)

    assert (await entries(database))[1:] == [
        Entry("SIGNED_IN", ada.user.id, None, PHONE.address, {}),
        Entry("SIGN_IN_FAILED", None, ada.user.id, PHONE.address, {}),
        Entry("SIGN_IN_FAILED", None, None, PHONE.address, {}),
    ]


async def test_whoever_stays_connected_hears_at_once_that_his_session_has_ended(
    doors: Doors, database: Database, changes: Changes
) -> None:
    laptop, phone = await doors.register(), await doors.login()
    viewer = await doors.viewer_of(laptop.access_token)
    presences = Presences(database, changes)
    async with presences.watched():
        with (
            presences.of(viewer) as laptop_ended,
            presences.of(await doors.viewer_of(phone.access_token)) as phone_ended,
            changes.watch(ACCESS_TOPIC) as bell,
        ):
            await doors.sessions.logout_everywhere(viewer, keep_current=True)

            async with asyncio.timeout(30):
                await phone_ended.wait()
            assert await bell.wait(0)
            assert not laptop_ended.is_set()


async def test_a_key_is_nobody_who_signs_in_or_out(doors: Doors) -> None:
    person = await doors.enter()
    key = replace(person, session_id=None, key=KeyLimits(new_id(), frozenset()))

    async def refused(attempt: Viewer) -> None:
        for call in (
            doors.sessions.page(attempt, PageRequest(1)),
            doors.sessions.count(attempt),
            doors.sessions.many(attempt, [person.session_id or new_id()]),
            doors.sessions.end_one(attempt, person.session_id or new_id()),
            doors.sessions.logout_everywhere(attempt),
        ):
            with pytest.raises(Forbidden, match="API keys"):
                await call

    await refused(key)
    assert not await doors.sessions.logout(key)
    assert await doors.sessions.count(person) == 1


async def test_a_hash_of_older_parameters_is_made_anew_at_the_next_sign_in(doors: Doors, database: Database) -> None:
    old = (await doors.register()).user.password_hash
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    after_upgrade = replace(doors, sessions=replace(doors.sessions, passwords=stronger))

    await after_upgrade.login()

    async with database.begin() as session:
        new = (await session.exec(select(User.password_hash))).one()
    assert new != old
    assert "m=16,t=2,p=1" in new
    await after_upgrade.login()
    async with database.begin() as session:
        assert (await session.exec(select(User.password_hash))).one() == new
    stronger.close()
    with pytest.raises(InvalidCredentials):
        await doors.login(password="another password")
    assert await doors.login()


async def test_a_password_that_was_changed_during_a_sign_in_with_the_old_one_lets_nobody_in(
    doors: Doors, database: Database, hasher: CountingHasher
) -> None:
    await doors.register()
    new = hasher.hash("a new password, of length")

    class Slow(Passwords):
        async def verify(self, stored: str | None, password: str) -> bool:
            is_right = await super().verify(stored, password)
            async with database.begin() as session:
                await session.exec(update(User).values(password_hash=new))
            return is_right

    slow = Slow(hasher)
    with pytest.raises(InvalidCredentials):
        await replace(doors.sessions, passwords=slow).login("ada@example.com", PASSWORD, LAPTOP)
    slow.close()

    assert len(await stored(database)) == 1
    assert (await acts(database))[-1] == "SIGN_IN_FAILED"


async def test_the_sweep_removes_what_has_ended_but_for_the_last_one_which_says_when_somebody_was_here(
    doors: Doors, database: Database
) -> None:
    ada = await doors.register()
    await doors.refresh(ada.refresh_token)
    bob = await doors.enter("bob@example.com")
    for _ in range(3):
        await doors.login()
    async with database.begin() as session:
        # All of Ada's are over: the oldest one, with a used token, by itself.
        await session.exec(
            update(UserSession)
            .where(col(UserSession.user_id) == ada.user.id)
            .values(expires_at=func.now(), refreshed_at=UserSession.created_at)
        )
    newest = (await stored(database))[-1]

    await Sweep(database).once()

    assert [(row.user_id, row.id) for row in await stored(database)] == [
        (bob.user_id, bob.session_id),
        (ada.user.id, newest.id),
    ]
    async with database.begin() as session:
        assert (await session.exec(select(UsedRefreshToken))).all() == []
    found = await doors.users.last_active(bob, [bob.user_id])
    assert found.keys() == {bob.user_id}
