"""Members of workspaces: seen, promoted, demoted, put out; and always an owner left."""

import asyncio
import random

import pytest
from sqlmodel import select

from kyrochat.accounts.members import LastOwner, Member
from kyrochat.accounts.presence import Presences
from kyrochat.accounts.viewer import Viewer
from kyrochat.accounts.workspaces import PersonalWorkspace
from kyrochat.db.columns import new_id
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import ApiKey
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Conflict, Forbidden, NotFound
from tests.accounts.scene import Doors
from tests.accounts.team import Team, seeing
from tests.accounts.test_workspaces import with_key

OWNER, EDITOR, VIEWER = WorkspaceRole.OWNER, WorkspaceRole.EDITOR, WorkspaceRole.VIEWER


@pytest.fixture
async def ada(team: Team) -> Viewer:
    return await team.person("ada")


@pytest.fixture
async def bob(team: Team) -> Viewer:
    return await team.person("bob")


async def seen(team: Team, viewer: Viewer, workspace_id: object) -> list[tuple[str, str | None, WorkspaceRole]]:
    page = await team.members.page(viewer, workspace_id, PageRequest(100))  # type: ignore[arg-type]
    return [(member.name, member.email, member.role) for member in page.rows]


async def test_everybody_sees_the_members_and_owners_their_addresses(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)
    ada = seeing(ada, harbour, OWNER)
    bob = await team.joined(bob, harbour, EDITOR)
    cyd = await team.joined(await team.person("cyd"), harbour, VIEWER)

    assert await seen(team, ada, harbour) == [
        ("cyd", "cyd@example.com", VIEWER),
        ("bob", "bob@example.com", EDITOR),
        ("ada", "ada@example.com", OWNER),
    ]
    assert await seen(team, bob, harbour) == [
        ("cyd", None, VIEWER),
        ("bob", "bob@example.com", EDITOR),
        ("ada", None, OWNER),
    ]
    assert [email for _, email, _ in await seen(team, cyd, harbour)] == ["cyd@example.com", None, None]
    assert [email for _, email, _ in await seen(team, with_key(ada), harbour)] == [None] * 3


async def test_members_are_paged_and_counted(team: Team, ada: Viewer) -> None:
    harbour = await team.workspace(ada)
    ada = seeing(ada, harbour, OWNER)
    for number in range(5):
        await team.joined(await team.person(f"p{number}"), harbour, VIEWER)

    first = await team.members.page(ada, harbour, PageRequest(4))
    second = await team.members.page(ada, harbour, PageRequest(4, after=first.rows[-1].user_id))

    assert [[member.name for member in page.rows] for page in (first, second)] == [
        ["p4", "p3", "p2", "p1"],
        ["p0", "ada"],
    ]
    assert (first.has_next, second.has_next, second.has_previous) == (True, False, True)
    assert await team.members.count(ada, harbour) == 6


async def test_strangers_see_no_members(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)

    for workspace_id in (harbour, new_id()):
        with pytest.raises(NotFound):
            await team.members.page(bob, workspace_id, PageRequest(10))
        with pytest.raises(NotFound):
            await team.members.count(bob, workspace_id)


async def test_a_new_role_holds_from_the_next_operation_on(team: Team, doors: Doors) -> None:
    ada, bob = [await doors.viewer_of((await doors.register(f"{name}@example.com")).access_token) for name in "ab"]
    home = ada.default_workspace_id
    await team.joined(bob, home, VIEWER)

    member = await team.members.change_role(ada, home, bob.user_id, EDITOR)

    assert (member.user_id, member.role, member.email) == (bob.user_id, EDITOR, "b@example.com")
    assert await team.roles(home) == {ada.user_id: OWNER, bob.user_id: EDITOR}
    [entry] = [entry for entry in await team.audit() if entry.act == "MEMBER_ROLE_CHANGED"]
    assert (entry.actor_id, entry.subject_id, entry.workspace_id) == (ada.user_id, bob.user_id, home)
    assert entry.details == {"from": "VIEWER", "to": "EDITOR"}


async def test_the_same_role_again_is_no_change(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)
    ada, bob = seeing(ada, harbour, OWNER), await team.joined(bob, harbour, EDITOR)

    assert (await team.members.change_role(ada, harbour, bob.user_id, EDITOR)).role is EDITOR
    # The only owner stays what he is.
    assert (await team.members.change_role(ada, harbour, ada.user_id, OWNER)).role is OWNER

    assert [entry.act for entry in await team.audit()] == ["WORKSPACE_CREATED"]


@pytest.mark.parametrize("role", [EDITOR, VIEWER])
async def test_editors_and_viewers_change_nobody_not_even_themselves(
    team: Team, ada: Viewer, bob: Viewer, role: WorkspaceRole
) -> None:
    harbour = await team.workspace(ada)
    bob = await team.joined(bob, harbour, role)
    before = await team.roles(harbour)

    for user_id in (ada.user_id, bob.user_id):
        with pytest.raises(Forbidden):
            await team.members.change_role(bob, harbour, user_id, OWNER)
        with pytest.raises(Forbidden):
            await team.members.remove(bob, harbour, user_id)

    assert await team.roles(harbour) == before


async def test_people_of_elsewhere_are_like_nobody(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)
    ada = seeing(ada, harbour, OWNER)

    for user_id in (bob.user_id, new_id()):
        with pytest.raises(NotFound, match="no such member"):
            await team.members.change_role(ada, harbour, user_id, OWNER)
        with pytest.raises(NotFound, match="no such member"):
            await team.members.remove(ada, harbour, user_id)

    assert await team.roles(harbour) == {ada.user_id: OWNER}
    assert await team.roles(bob.default_workspace_id) == {bob.user_id: OWNER}


async def test_the_only_owner_can_neither_leave_nor_step_down_nor_be_removed(
    team: Team, ada: Viewer, bob: Viewer
) -> None:
    harbour = await team.workspace(ada)
    ada = seeing(ada, harbour, OWNER)
    await team.joined(bob, harbour, EDITOR)

    for attempt in (
        team.members.leave(ada, harbour),
        team.members.change_role(ada, harbour, ada.user_id, VIEWER),
        team.members.remove(ada, harbour, ada.user_id),
    ):
        with pytest.raises(LastOwner, match="somebody else owner first"):
            await attempt

    assert (await team.roles(harbour))[ada.user_id] is OWNER


async def test_an_owner_whose_account_is_disabled_does_not_count(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)
    ada = seeing(ada, harbour, OWNER)
    await team.joined(bob, harbour, OWNER)
    await team.run(f"UPDATE users SET disabled_at = now() WHERE id = '{bob.user_id}'")

    with pytest.raises(LastOwner):
        await team.members.leave(ada, harbour)

    await team.members.remove(ada, harbour, bob.user_id)
    assert await team.roles(harbour) == {ada.user_id: OWNER}


async def test_in_a_personal_workspace_its_person_stays_the_owner(team: Team, ada: Viewer, bob: Viewer) -> None:
    home = ada.default_workspace_id
    bob = await team.joined(bob, home, OWNER)

    for attempt in (
        team.members.leave(ada, home),
        team.members.remove(bob, home, ada.user_id),
        team.members.change_role(bob, home, ada.user_id, VIEWER),
        team.members.change_role(ada, home, ada.user_id, EDITOR),
    ):
        with pytest.raises(PersonalWorkspace):
            await attempt

    await team.members.leave(bob, home)
    assert await team.roles(home) == {ada.user_id: OWNER}


async def test_ten_owners_who_all_leave_at_once_leave_one_behind(team: Team, ada: Viewer) -> None:
    harbour = await team.workspace(ada)
    owners = [seeing(ada, harbour, OWNER)]
    for number in range(9):
        owners.append(await team.joined(await team.person(f"p{number}"), harbour, OWNER))

    ends = await asyncio.gather(*(team.members.leave(owner, harbour) for owner in owners), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["LastOwner"] + ["UUID"] * 9
    assert list((await team.roles(harbour)).values()) == [OWNER]


async def test_whatever_ten_owners_do_to_each_other_at_once_one_owner_is_left(team: Team, ada: Viewer) -> None:
    harbour = await team.workspace(ada)
    owners = [seeing(ada, harbour, OWNER)]
    for number in range(9):
        owners.append(await team.joined(await team.person(f"p{number}"), harbour, OWNER))
    chance = random.Random(7)

    async def strike(owner: Viewer) -> None:
        victim = chance.choice(owners).user_id
        if chance.random() < 0.5:
            await team.members.remove(owner, harbour, victim)
        else:
            await team.members.change_role(owner, harbour, victim, chance.choice([EDITOR, VIEWER]))

    for _ in range(8):
        ends = await asyncio.gather(*(strike(owner) for owner in owners), return_exceptions=True)
        assert {type(end) for end in ends} <= {type(None), Forbidden, NotFound, LastOwner}
        assert OWNER in (await team.roles(harbour)).values()

    assert list((await team.roles(harbour)).values()).count(OWNER) < 5


async def test_who_is_put_out_loses_his_keys_there_and_they_stay_lost_when_he_is_back(
    team: Team, ada: Viewer, bob: Viewer
) -> None:
    harbour = await team.workspace(ada)
    ada, bob = seeing(ada, harbour, OWNER), await team.joined(bob, harbour, OWNER)
    keys = {}
    for owner, workspace_id in ((bob, harbour), (bob, bob.default_workspace_id), (ada, harbour)):
        async with team.database.begin([workspace_id]) as session:
            key = ApiKey(workspace_id=workspace_id, created_by=owner.user_id, secret_hash=new_id().bytes, scopes=[])
            session.add(key)
        keys[owner.user_id, workspace_id] = key.id

    await team.members.remove(ada, harbour, bob.user_id)
    await team.joined(bob, harbour, VIEWER)

    async with team.database.begin([harbour, bob.default_workspace_id]) as session:
        revoked = {key.id for key in (await session.exec(select(ApiKey))).all() if key.revoked_at is not None}
    assert revoked == {keys[bob.user_id, harbour]}


@pytest.mark.parametrize("way", ["removed", "left", "deleted"])
async def test_open_connections_of_who_is_out_end_at_once_and_no_others(team: Team, doors: Doors, way: str) -> None:
    ada, bob, cyd = [await doors.viewer_of((await doors.register(f"{n}@example.com")).access_token) for n in "abc"]
    harbour = await team.workspace(ada)
    ada = seeing(ada, harbour, OWNER)
    bob = await team.joined(bob, harbour, EDITOR)
    presences = Presences(team.database, team.changes)

    async with presences.watched():
        with presences.of(bob) as bobs, presences.of(cyd) as cyds, presences.of(ada) as adas:
            match way:
                case "removed":
                    await team.members.remove(ada, harbour, bob.user_id)
                case "left":
                    await team.members.leave(bob, harbour)
                case _:
                    await team.workspaces.delete(ada, harbour)
            async with asyncio.timeout(1.5):  # sooner than the next look that no bell asks for
                await bobs.wait()

            assert not cyds.is_set()
            # Whose workspace was deleted is out of it as well.
            assert adas.is_set() is (way == "deleted")


async def test_a_connection_older_than_a_membership_ends_with_it_too(team: Team, doors: Doors) -> None:
    ada, bob = [await doors.viewer_of((await doors.register(f"{name}@example.com")).access_token) for name in "ab"]
    presences = Presences(team.database, team.changes)

    with presences.of(bob) as ended:
        await team.joined(bob, ada.default_workspace_id, VIEWER)
        await presences.check()
        assert not ended.is_set()
        await team.members.remove(ada, ada.default_workspace_id, bob.user_id)
        await presences.check()
        assert ended.is_set()


async def test_leaving_is_written_down(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)
    ada, bob = seeing(ada, harbour, OWNER), await team.joined(bob, harbour, EDITOR)
    cyd = await team.joined(await team.person("cyd"), harbour, VIEWER)

    assert await team.members.leave(bob, harbour) == harbour
    assert await team.members.remove(ada, harbour, cyd.user_id) == cyd.user_id

    entries = [(entry.actor_id, entry.subject_id, entry.details) for entry in (await team.audit())[1:]]
    assert entries == [(bob.user_id, bob.user_id, {"left": True}), (ada.user_id, cyd.user_id, {"left": False})]
    with pytest.raises(Conflict):
        await team.members.leave(ada, harbour)


async def test_a_member_is_told_when_he_came(team: Team, ada: Viewer) -> None:
    harbour = await team.workspace(ada)
    [member] = (await team.members.page(seeing(ada, harbour, OWNER), harbour, PageRequest(10))).rows

    assert member == Member(ada.user_id, "ada", "ada@example.com", OWNER, member.joined_at)
    assert [(member.joined_at,)] == await team.run("SELECT created_at FROM workspaces WHERE name = 'Harbour'")
