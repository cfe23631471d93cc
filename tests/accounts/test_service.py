"""Registration, sign-in, sign-out, and who the viewer is."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.registration import EmailTaken
from kyrochat.accounts.sessions import SignedIn
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import User, UserSession, Workspace, WorkspaceMember
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import (
    Forbidden,
    InvalidCredentials,
    InvalidInput,
    KyroError,
    NotFound,
    Unauthenticated,
)
from kyrochat.setting_values import Registration
from tests.accounts.conftest import CountingHasher
from tests.accounts.scene import LAPTOP, PASSWORD, Doors


async def count(database: Database, table: type[User | UserSession | Workspace | WorkspaceMember]) -> int:
    async with database.begin() as session:
        return (await session.exec(select(func.count()).select_from(table))).one()


async def test_a_registration_makes_a_user_with_a_workspace_of_his_own_and_signs_him_in(
    doors: Doors, database: Database
) -> None:
    signed_in = await doors.register("  Ada@Example.COM ", PASSWORD, "Ada ")

    user = signed_in.user
    assert (user.email, user.name, user.is_admin) == ("ada@example.com", "Ada", True)
    assert PASSWORD not in user.password_hash
    viewer = await doors.viewer_of(signed_in.access_token)
    [workspace] = await doors.workspaces.mine(viewer)
    assert viewer == Viewer(
        user.id,
        viewer.session_id,
        {workspace.id: WorkspaceRole.OWNER},
        workspace.id,
        is_admin=True,
        client=LAPTOP,
        expires_at=signed_in.expires_at,
    )
    assert workspace.name == "Ada's workspace"
    assert await doors.accounts.me(viewer) == user
    assert await count(database, UserSession) == 1


async def test_without_a_name_the_address_gives_one(doors: Doors) -> None:
    assert (await doors.register("grace@example.com", PASSWORD)).user.name == "grace"
    assert (await doors.register("alan@example.com", PASSWORD, " ")).user.name == "alan"


async def test_of_ten_registrations_at_once_exactly_one_is_the_admin(doors: Doors, database: Database) -> None:
    signed_in = await asyncio.gather(*(doors.register(f"u{n}@example.com", PASSWORD) for n in range(10)))

    assert sorted(each.user.is_admin for each in signed_in) == [False] * 9 + [True]
    async with database.begin() as session:
        admins = (await session.exec(select(User.id).where(col(User.is_admin)))).all()
    assert admins == [each.user.id for each in signed_in if each.user.is_admin]
    assert not (await doors.register("late@example.com", PASSWORD)).user.is_admin


async def test_of_ten_registrations_with_one_address_in_any_case_one_wins_and_the_rest_leave_nothing(
    doors: Doors, database: Database
) -> None:
    spellings = ["ada@example.com", "Ada@example.com", "ADA@EXAMPLE.COM", "ada@Example.Com", " ada@example.com"]

    ends = await asyncio.gather(*(doors.register(email, PASSWORD) for email in spellings * 2), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["EmailTaken"] * 9 + ["SignedIn"]
    assert [await count(database, table) for table in (User, UserSession, Workspace, WorkspaceMember)] == [1, 1, 1, 1]
    with pytest.raises(EmailTaken):
        await doors.register("aDA@example.com", PASSWORD)


@pytest.mark.parametrize("mode", [Registration.CLOSED, Registration.INVITE])
async def test_a_closed_registration_lets_the_first_user_in_and_nobody_after_him(
    doors: Doors, database: Database, mode: Registration
) -> None:
    closed = replace(doors, registration=replace(doors.registration, registration=mode))

    ends = await asyncio.gather(
        *(closed.register(f"u{n}@example.com", PASSWORD) for n in range(4)), return_exceptions=True
    )

    assert sorted(type(end).__name__ for end in ends) == ["Forbidden"] * 3 + ["SignedIn"]
    assert [await count(database, table) for table in (User, Workspace, WorkspaceMember)] == [1, 1, 1]
    with pytest.raises(Forbidden):
        await closed.register("late@example.com", PASSWORD)


WRONG_REGISTRATIONS: list[tuple[str, str, str | None, set[str]]] = [
    ("", "1234567", None, {"email", "password", "name"}),
    ("nobody", PASSWORD, None, {"email"}),
    ("a b@example.com", PASSWORD, None, {"email"}),
    ("a@b@example.com", PASSWORD, None, {"email"}),
    ("a\x00b@example.com", PASSWORD, "A", {"email"}),
    ("a@exam\x00ple.com", PASSWORD, "A", {"email"}),
    (f"a@{'x' * 253}", PASSWORD, "A", {"email"}),
    (f"{'x' * 65}@example.com", PASSWORD, "A", {"email"}),
    ("a@example.com", "1234567", "A", {"password"}),
    ("a@example.com", "x" * 1_025, "A", {"password"}),
    ("a@example.com", "é" * 513, "A", {"password"}),
    ("a@example.com", PASSWORD, "A\x00B", {"name"}),
    ("a@example.com", PASSWORD, "x" * 101, {"name"}),
    ("nobody", "", "x" * 101, {"email", "password", "name"}),
]


async def test_all_that_is_wrong_with_a_registration_is_told_at_once_and_nothing_is_stored(
    doors: Doors, database: Database, hasher: CountingHasher
) -> None:
    for email, password, name, fields in WRONG_REGISTRATIONS:
        with pytest.raises(InvalidInput) as refused:
            await doors.register(email, password, name)
        assert {issue.path for issue in refused.value.issues} == {(field,) for field in fields}

    assert await count(database, User) == 0
    assert hasher.hashed == 0


async def test_any_password_within_the_limits_works_in_full_length(doors: Doors) -> None:
    for password in ["jx4-ob7!", "éàéà", "xy" * 512, "\U0001f511\U0001f512" * 128, "with\x00nul"]:
        email = f"{uuid4().hex}@example.com"
        signed_in = await doors.register(email, password)

        again = await doors.login(f"{email.upper()} ", password)

        assert again.user == signed_in.user
        assert again.refresh_token != signed_in.refresh_token
        with pytest.raises(InvalidCredentials):
            await doors.login(email, password[:-1])


async def test_a_password_typed_on_another_keyboard_is_the_same(doors: Doors) -> None:
    await doors.register("ada@example.com", "caf\u00e9 au lait")

    signed_in = await doors.login("ada@example.com", "cafe\u0301 au lait")

    assert signed_in.user.email == "ada@example.com"


WRONG_CREDENTIALS = [
    ("ada@example.com", "wrong horse battery"),
    ("nobody@example.com", PASSWORD),
    ("ada\x00@example.com", PASSWORD),
    ("ada@example.com\x00", PASSWORD),
    ("", ""),
    ("ada@example.com", ""),
    ("ada@example.com", "x" * 1_000_000),
    ("x" * 100_000, PASSWORD),
]


async def test_a_wrong_password_and_an_unknown_address_are_told_alike_and_cost_alike(
    doors: Doors, database: Database, hasher: CountingHasher
) -> None:
    stored = (await doors.register("ada@example.com", PASSWORD)).user.password_hash
    sessions = await count(database, UserSession)

    for email, password in WRONG_CREDENTIALS:
        hasher.verified.clear()
        with pytest.raises(InvalidCredentials) as refused:
            await doors.login(email, password)
        assert refused.value.message == "The e-mail address or the password is wrong."
        # Verified once, whatever it was, and against a hash with the parameters of a real one.
        assert [each.split("$")[:4] for each in hasher.verified] == [stored.split("$")[:4]]

    assert await count(database, UserSession) == sessions


async def test_signing_out_ends_this_session_and_no_other(doors: Doors) -> None:
    first = await doors.register("ada@example.com", PASSWORD)
    second = await doors.login("ada@example.com", PASSWORD)
    viewer = await doors.viewer_of(first.access_token)

    assert await doors.sessions.logout(viewer)
    assert not await doors.sessions.logout(viewer)

    with pytest.raises(Unauthenticated, match="ended"):
        await doors.viewer_of(first.access_token)
    with pytest.raises(InvalidCredentials):
        await doors.refresh(first.refresh_token)
    assert (await doors.viewer_of(second.access_token)).user_id == first.user.id
    assert isinstance(await doors.refresh(second.refresh_token), SignedIn)


async def test_an_operator_at_the_command_line_has_no_session_to_end(doors: Doors) -> None:
    await doors.register("ada@example.com", PASSWORD)
    await doors.register("bob@example.com", PASSWORD)

    ada, bob = await doors.accounts.local_viewers()

    assert [(await doors.accounts.me(viewer)).email for viewer in (ada, bob)] == ["ada@example.com", "bob@example.com"]
    assert await doors.accounts.local_viewers(" BOB@example.com") == [bob]
    assert not await doors.sessions.logout(ada)
    with pytest.raises(NotFound):
        await doors.accounts.local_viewers("nobody@example.com")


async def test_a_deleted_user_is_nobody_at_once(doors: Doors, database: Database) -> None:
    signed_in = await doors.register("ada@example.com", PASSWORD)
    viewer = await doors.viewer_of(signed_in.access_token)
    async with database.begin() as session:
        await session.delete(await session.get(User, viewer.user_id))

    refusals: list[type[KyroError]] = []
    for attempt in (
        doors.viewer_of(signed_in.access_token),
        doors.accounts.me(viewer),
        doors.refresh(signed_in.refresh_token),
        doors.login("ada@example.com", PASSWORD),
    ):
        with pytest.raises(KyroError) as refused:
            await attempt
        refusals.append(refused.type)

    assert refusals == [Unauthenticated, Unauthenticated, InvalidCredentials, InvalidCredentials]


async def test_a_viewer_is_what_his_memberships_say_and_works_in_them_only(doors: Doors, database: Database) -> None:
    ada = await doors.register("ada@example.com", PASSWORD)
    bob = await doors.viewer_of((await doors.register("bob@example.com", PASSWORD)).access_token)
    async with database.begin() as session:
        session.add(
            WorkspaceMember(
                workspace_id=bob.default_workspace_id,
                user_id=ada.user.id,
                role=WorkspaceRole.VIEWER,
                is_personal=False,
            )
        )

    viewer = await doors.viewer_of(ada.access_token)

    own, shared = viewer.default_workspace_id, bob.default_workspace_id
    assert viewer.workspaces == {own: WorkspaceRole.OWNER, shared: WorkspaceRole.VIEWER}
    assert (viewer.workspace(None), viewer.workspace(shared)) == (own, shared)
    viewer.must(Act.INGEST, own)
    viewer.must(Act.SEARCH, shared)
    with pytest.raises(Forbidden, match="EDITOR"):
        viewer.must(Act.INGEST, shared)
    with pytest.raises(NotFound):
        viewer.must(Act.SEARCH, new_id())
    with pytest.raises(NotFound):
        bob.workspace(own)
    assert [workspace.id for workspace in await doors.workspaces.mine(bob)] == [shared]
