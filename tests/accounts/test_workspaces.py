"""Workspaces: made, renamed, deleted; unreachable from then on, whoever was in."""

import asyncio
from dataclasses import replace

import pytest
from sqlmodel import select

from kyrochat.accounts.viewer import KeyLimits, Viewer
from kyrochat.accounts.workspaces import MAX_OWNED, PURGE_WORKSPACE, PersonalWorkspace
from kyrochat.db.changes import ACCESS_TOPIC
from kyrochat.db.columns import new_id
from kyrochat.db.models import Job, Workspace
from kyrochat.db.states import ApiKeyScope, WorkspaceRole
from kyrochat.errors import Forbidden, InvalidInput, NotFound, QuotaExceeded
from tests.accounts.team import Team, seeing


@pytest.fixture
async def ada(team: Team) -> Viewer:
    return await team.person("ada")


@pytest.fixture
async def bob(team: Team) -> Viewer:
    return await team.person("bob")


def with_key(viewer: Viewer) -> Viewer:
    return replace(viewer, key=KeyLimits(new_id(), frozenset(ApiKeyScope)))


async def test_who_makes_a_workspace_is_its_only_member_and_owner(team: Team, ada: Viewer) -> None:
    made = await team.workspaces.create(ada, "  Harbour ")

    assert made.name == "Harbour"
    assert await team.roles(made.id) == {ada.user_id: WorkspaceRole.OWNER}
    now = seeing(ada, made.id, WorkspaceRole.OWNER)
    assert [workspace.id for workspace in await team.workspaces.mine(now)] == [made.id, ada.default_workspace_id]
    [entry] = await team.audit()
    assert (entry.act, entry.actor_id, entry.workspace_id) == ("WORKSPACE_CREATED", ada.user_id, made.id)


@pytest.mark.parametrize("name", ["", " \t", "x" * 101, "a\x00b", "\ud800"])
async def test_a_name_that_is_none_makes_and_changes_nothing(team: Team, ada: Viewer, name: str) -> None:
    with pytest.raises(InvalidInput) as making:
        await team.workspaces.create(ada, name)
    with pytest.raises(InvalidInput) as renaming:
        await team.workspaces.rename(ada, ada.default_workspace_id, name)

    assert [issue.path for caught in (making, renaming) for issue in caught.value.issues] == [("name",)] * 2
    assert [workspace.name for workspace in await team.workspaces.mine(ada)] == ["ada's workspace"]
    assert await team.audit() == []


async def test_nobody_owns_more_workspaces_than_allowed_however_many_he_makes_at_once(team: Team, ada: Viewer) -> None:
    await team.run(
        f"WITH made AS (INSERT INTO workspaces (id, name) SELECT uuidv7(), 'W' FROM generate_series(6, {MAX_OWNED})"
        " RETURNING id) INSERT INTO workspace_members (workspace_id, user_id, role, is_personal)"
        f" SELECT id, '{ada.user_id}', 'OWNER', false FROM made"
    )

    ends = await asyncio.gather(*(team.workspaces.create(ada, "W") for _ in range(10)), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["QuotaExceeded"] * 6 + ["Workspace"] * 4
    assert isinstance(next(end for end in ends if isinstance(end, Exception)), QuotaExceeded)
    assert await team.run(f"SELECT count(*) FROM workspace_members WHERE user_id = '{ada.user_id}'") == [(MAX_OWNED,)]


async def test_an_owner_renames_even_a_personal_workspace(team: Team, ada: Viewer) -> None:
    renamed = await team.workspaces.rename(ada, ada.default_workspace_id, "Study")

    assert (renamed.id, renamed.name) == (ada.default_workspace_id, "Study")
    [entry] = await team.audit()
    assert (entry.act, entry.details) == ("WORKSPACE_CHANGED", {"fields": ["name"]})


@pytest.mark.parametrize("role", [WorkspaceRole.EDITOR, WorkspaceRole.VIEWER])
async def test_only_owners_rename_and_delete(team: Team, ada: Viewer, bob: Viewer, role: WorkspaceRole) -> None:
    harbour = await team.workspace(ada)
    bob = await team.joined(bob, harbour, role)

    with pytest.raises(Forbidden, match=f"is {role}, .*takes OWNER"):
        await team.workspaces.rename(bob, harbour, "Mine")
    with pytest.raises(Forbidden):
        await team.workspaces.delete(bob, harbour)

    assert len(await team.roles(harbour)) == 2


async def test_another_ones_workspace_is_like_none(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)

    told = set()
    for workspace_id in (harbour, new_id()):
        for attempt in (
            team.workspaces.rename(bob, workspace_id, "Mine"),
            team.workspaces.delete(bob, workspace_id),
            team.members.leave(bob, workspace_id),
        ):
            with pytest.raises(NotFound) as caught:
                await attempt
            told.add(caught.value.message)

    assert told == {"There is no such workspace."}
    assert await team.roles(harbour) == {ada.user_id: WorkspaceRole.OWNER}


async def test_who_was_owner_when_he_came_in_and_is_not_any_more_does_nothing(
    team: Team, ada: Viewer, bob: Viewer
) -> None:
    """His operation began before he was demoted, or put out: what the database says under the lock is what counts."""
    harbour = await team.workspace(ada)
    demoted = seeing(await team.joined(bob, harbour, WorkspaceRole.VIEWER), harbour, WorkspaceRole.OWNER)
    gone = seeing(await team.person("cyd"), harbour, WorkspaceRole.OWNER)

    for stale, refusal in ((demoted, Forbidden), (gone, NotFound)):
        for attempt in (
            team.workspaces.rename(stale, harbour, "Mine"),
            team.workspaces.delete(stale, harbour),
            team.members.change_role(stale, harbour, stale.user_id, WorkspaceRole.OWNER),
            team.members.remove(stale, harbour, ada.user_id),
        ):
            with pytest.raises(refusal):
                await attempt

    assert await team.roles(harbour) == {ada.user_id: WorkspaceRole.OWNER, bob.user_id: WorkspaceRole.VIEWER}


async def test_a_key_makes_no_workspaces_and_changes_none(team: Team, ada: Viewer) -> None:
    key = with_key(ada)
    home = ada.default_workspace_id

    for attempt in (
        team.workspaces.create(key, "Mine"),
        team.workspaces.rename(key, home, "Mine"),
        team.workspaces.delete(key, home),
        team.members.change_role(key, home, ada.user_id, WorkspaceRole.VIEWER),
        team.members.remove(key, home, ada.user_id),
        team.members.leave(key, home),
    ):
        with pytest.raises(Forbidden, match="API keys cannot"):
            await attempt

    assert await team.audit() == []


async def test_a_personal_workspace_is_deleted_by_nobody(team: Team, ada: Viewer, bob: Viewer) -> None:
    home = ada.default_workspace_id
    bob = await team.joined(bob, home, WorkspaceRole.OWNER)

    for owner in (ada, bob):
        with pytest.raises(PersonalWorkspace):
            await team.workspaces.delete(owner, home)

    assert len(await team.roles(home)) == 2


async def test_a_deleted_workspace_is_reached_by_nobody_from_then_on(team: Team, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)
    await team.joined(bob, harbour, WorkspaceRole.EDITOR)

    with team.changes.watch(ACCESS_TOPIC) as bell:
        assert await team.workspaces.delete(seeing(ada, harbour, WorkspaceRole.OWNER), harbour) == harbour
        assert await bell.wait(10)

    assert await team.roles(harbour) == {}
    async with team.database.begin() as session:
        [job] = (await session.exec(select(Job))).all()
        assert await session.get(Workspace, harbour) is not None
    assert (job.kind, job.workspace_id, job.payload) == (PURGE_WORKSPACE, harbour, {})
    entry = (await team.audit())[-1]
    assert (entry.act, entry.workspace_id, entry.object_id) == ("WORKSPACE_DELETED", None, harbour)


async def test_of_ten_owners_who_delete_at_once_one_does(team: Team, ada: Viewer) -> None:
    harbour = await team.workspace(ada)
    owners = [seeing(ada, harbour, WorkspaceRole.OWNER)]
    for number in range(9):
        owners.append(await team.joined(await team.person(f"p{number}"), harbour, WorkspaceRole.OWNER))

    ends = await asyncio.gather(*(team.workspaces.delete(owner, harbour) for owner in owners), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["NotFound"] * 9 + ["UUID"]
    assert [entry.act for entry in await team.audit()].count("WORKSPACE_DELETED") == 1
