"""Administrators of a server: they find accounts, shut them and open them, and never shut themselves out."""

import asyncio
from dataclasses import replace

import pytest
from sqlmodel import col, select

from kyrochat.accounts.presence import Presences
from kyrochat.accounts.sessions import SignedIn
from kyrochat.accounts.tokens import KEY_PREFIX, new_secret, secret_hash
from kyrochat.accounts.user_repository import UserStatus
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import ApiKey, User
from kyrochat.db.states import ApiKeyScope
from kyrochat.errors import Conflict, Forbidden, InvalidCredentials, InvalidInput, NotFound, Unauthenticated
from tests.accounts.scene import LAPTOP, Doors, Entry, acts, entries

ALL = PageRequest(100)


@pytest.fixture
async def root(doors: Doors) -> Viewer:
    return await doors.enter("root@example.com")


@pytest.fixture
async def ada(doors: Doors, root: Viewer) -> SignedIn:
    return await doors.register()


async def make_key(doors: Doors, signed_in: SignedIn) -> str:
    """Return the secret of a key of somebody's."""
    viewer, secret = await doors.viewer_of(signed_in.access_token), new_secret(KEY_PREFIX)
    async with doors.database.begin(viewer.workspaces) as session:
        session.add(
            ApiKey(
                workspace_id=viewer.default_workspace_id,
                created_by=viewer.user_id,
                name="Key",
                prefix=secret[:8],
                secret_hash=secret_hash(secret),
                scopes=[ApiKeyScope.READ],
            )
        )
    return secret


async def test_administrators_find_users_by_a_part_of_the_address_and_by_whether_they_work(
    doors: Doors, root: Viewer, ada: SignedIn
) -> None:
    bob = await doors.enter("bob_100%@example.org")
    await doors.users.set_disabled(root, bob.user_id, disabled=True)

    async def found(email: str = "", status: UserStatus | None = None) -> list[str]:
        page = await doors.users.page(root, ALL, email, status)
        assert await doors.users.count(root, email, status) == len(page.rows)
        return [row.email.partition("@")[0] for row in page.rows]

    assert await found() == ["bob_100%", "ada", "root"]
    assert await found("EXAMPLE.com") == ["ada", "root"]
    # These are letters, and no patterns.
    assert await found("_") == await found("%") == ["bob_100%"]
    assert await found("' OR true --") == []
    assert await found(status=UserStatus.ACTIVE) == ["ada", "root"]
    assert await found("example", UserStatus.DISABLED) == ["bob_100%"]
    for broken in ("a\x00", "x" * 255):
        with pytest.raises(InvalidInput):
            await doors.users.page(root, ALL, broken)
    assert (await doors.users.find(root, " ADA@example.com")).id == ada.user.id
    with pytest.raises(NotFound):
        await doors.users.find(root, "nobody@example.com")


async def test_others_are_no_administrators_whatever_they_ask_for(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    viewer = await doors.viewer_of(ada.access_token)
    before = await acts(database)

    for attempt in (
        doors.users.page(viewer, ALL),
        doors.users.count(viewer),
        doors.users.find(viewer, "ada@example.com"),
        doors.users.last_active(viewer, [root.user_id]),
        doors.users.last_active(viewer, [viewer.user_id, root.user_id]),
        doors.users.set_disabled(viewer, root.user_id, disabled=True),
        doors.users.set_admin(viewer, viewer.user_id, is_admin=True),
        doors.resets.create_link(viewer, root.user_id),
    ):
        with pytest.raises(Forbidden, match="administrators"):
            await attempt

    assert (await doors.users.last_active(viewer, [viewer.user_id])).keys() == {viewer.user_id}
    assert await acts(database) == before


async def test_a_disabled_account_is_shut_on_every_path_and_heard_of_at_once(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database, changes: Changes
) -> None:
    secret = await make_key(doors, ada)
    by_key = await doors.viewer_of(secret)
    by_session = await doors.viewer_of(ada.access_token)
    presences = Presences(database, changes)

    async with presences.watched():
        with presences.of(by_session) as session_ended, presences.of(by_key) as key_ended, presences.of(root) as stays:
            user = await doors.users.set_disabled(root, ada.user.id, disabled=True)

            async with asyncio.timeout(30):
                await session_ended.wait()
                await key_ended.wait()
            assert not stays.is_set()

    assert user.disabled_at is not None
    for credential in (ada.access_token, secret):
        with pytest.raises(Unauthenticated):
            await doors.viewer_of(credential)
    with pytest.raises(InvalidCredentials, match=r"^The e-mail address or the password is wrong\.$"):
        await doors.login()
    with pytest.raises(InvalidCredentials):
        await doors.refresh(ada.refresh_token)
    assert Entry("USER_DISABLED", root.user_id, ada.user.id, LAPTOP.address, {}) in await entries(database)


async def test_an_account_that_is_enabled_again_signs_in_anew_and_its_keys_work(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    secret = await make_key(doors, ada)
    await doors.users.set_disabled(root, ada.user.id, disabled=True)

    user = await doors.users.set_disabled(root, ada.user.id, disabled=False)

    assert user.disabled_at is None
    assert not await doors.is_open(ada)
    assert await doors.login()
    assert (await doors.viewer_of(secret)).user_id == ada.user.id
    assert "USER_ENABLED" in await acts(database)


async def test_what_is_so_already_changes_nothing_and_is_not_written_down(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    before = await acts(database)

    await doors.users.set_disabled(root, ada.user.id, disabled=False)
    await doors.users.set_admin(root, ada.user.id, is_admin=False)
    await doors.users.set_admin(root, root.user_id, is_admin=True)

    assert await acts(database) == before
    assert await doors.is_open(ada)


async def test_nobody_disables_himself_or_an_account_that_is_not_there(
    doors: Doors, root: Viewer, ada: SignedIn
) -> None:
    await doors.users.set_admin(root, ada.user.id, is_admin=True)

    with pytest.raises(Conflict, match="your own account"):
        await doors.users.set_disabled(root, root.user_id, disabled=True)
    for attempt in (
        doors.users.set_disabled(root, new_id(), disabled=True),
        doors.users.set_admin(root, new_id(), is_admin=True),
    ):
        with pytest.raises(NotFound):
            await attempt

    assert (await doors.users.find(root, "root@example.com")).disabled_at is None


async def test_the_last_administrator_stays_one_whoever_asks(doors: Doors, root: Viewer, ada: SignedIn) -> None:
    await doors.users.set_admin(root, ada.user.id, is_admin=True)
    await doors.users.set_disabled(root, ada.user.id, disabled=True)

    # A disabled administrator is none who could help.
    for by in (root, Operator()):
        with pytest.raises(Conflict, match="last administrator"):
            await doors.users.set_admin(by, root.user_id, is_admin=False)
    with pytest.raises(Conflict, match="last administrator"):
        await doors.users.set_disabled(Operator(), root.user_id, disabled=True)

    await doors.users.set_disabled(root, ada.user.id, disabled=False)
    assert not (await doors.users.set_admin(root, root.user_id, is_admin=False)).is_admin


async def test_administrators_who_take_each_other_away_at_once_leave_one(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    await doors.users.set_admin(root, ada.user.id, is_admin=True)
    adas = await doors.viewer_of(ada.access_token)

    for _ in range(5):
        ends = await asyncio.gather(
            doors.users.set_admin(root, adas.user_id, is_admin=False),
            doors.users.set_admin(adas, root.user_id, is_admin=False),
            doors.users.set_disabled(adas, root.user_id, disabled=True),
            return_exceptions=True,
        )

        assert [end for end in ends if isinstance(end, BaseException) and not isinstance(end, Conflict)] == []
        async with database.begin() as session:
            left = (await session.exec(select(User).where(col(User.is_admin), col(User.disabled_at).is_(None)))).all()
        assert len(left) == 1
        for user_id in (root.user_id, adas.user_id):
            await doors.users.set_disabled(Operator(), user_id, disabled=False)
            await doors.users.set_admin(Operator(), user_id, is_admin=True)


async def test_a_new_administrator_is_one_at_once_and_so_is_a_former_one_none(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    await doors.users.set_admin(root, ada.user.id, is_admin=True)
    promoted = await doors.viewer_of(ada.access_token)
    assert len((await doors.users.page(promoted, ALL)).rows) == 2

    await doors.users.set_admin(root, ada.user.id, is_admin=False)

    assert not (await doors.viewer_of(ada.access_token)).is_admin
    changes = [entry for entry in await entries(database) if entry.act == "USER_ROLE_CHANGED"]
    assert changes == [
        Entry("USER_ROLE_CHANGED", root.user_id, ada.user.id, LAPTOP.address, {"is_admin": is_admin})
        for is_admin in (True, False)
    ]


async def test_what_the_operator_does_is_written_down_as_nobodys_from_nowhere(
    doors: Doors, root: Viewer, ada: SignedIn, database: Database
) -> None:
    await doors.users.set_disabled(Operator(), ada.user.id, disabled=True)
    await doors.users.set_disabled(Operator(), ada.user.id, disabled=False)
    await doors.resets.create_link(Operator(), ada.user.id)

    assert (await entries(database))[-3:] == [
        Entry("USER_DISABLED", None, ada.user.id, None, {}),
        Entry("USER_ENABLED", None, ada.user.id, None, {}),
        Entry("PASSWORD_RESET_REQUESTED", None, ada.user.id, None, {"by": "link"}),
    ]


async def test_a_key_of_an_administrator_administers_nothing(doors: Doors, root: Viewer) -> None:
    secret = await make_key(doors, await doors.login("root@example.com"))
    by_key = await doors.viewer_of(secret)

    for attempt in (doors.users.page(by_key, ALL), doors.users.page(replace(by_key, is_admin=True), ALL)):
        with pytest.raises(Forbidden):
            await attempt
