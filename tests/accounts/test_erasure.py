"""Deleting an account: it ends at once, whatever one comes with, and takes nothing away that others need."""

import asyncio

import pytest
from sqlmodel import select

from kyrochat.accounts.erasure import PURGE_ACCOUNT, ErasureService, LastAdministrator, OthersNeedAnOwner
from kyrochat.accounts.members import LastOwner
from kyrochat.accounts.presence import Presences
from kyrochat.accounts.tokens import KEY_PREFIX, new_secret, secret_hash
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.accounts.workspaces import PURGE_WORKSPACE
from kyrochat.db.changes import Changes
from kyrochat.db.columns import new_id
from kyrochat.db.models import ApiKey, Job, User, Workspace
from kyrochat.db.states import ApiKeyScope, WorkspaceRole
from kyrochat.errors import Forbidden, InvalidCredentials, InvalidInput, KyroError, NotFound, Unauthenticated
from tests.accounts.scene import PASSWORD, Doors
from tests.accounts.team import Team, seeing
from tests.accounts.test_workspaces import with_key

OWNER, EDITOR, VIEWER = WorkspaceRole.OWNER, WorkspaceRole.EDITOR, WorkspaceRole.VIEWER


@pytest.fixture
async def root(doors: Doors) -> Viewer:
    """The administrator, who stays."""
    return await doors.enter("root@example.com")


@pytest.fixture
async def ada(doors: Doors, root: Viewer) -> Viewer:
    return await doors.enter("ada@example.com")


@pytest.fixture
async def bob(doors: Doors, root: Viewer) -> Viewer:
    return await doors.enter("bob@example.com")


@pytest.fixture
def erasure(doors: Doors, changes: Changes) -> ErasureService:
    return ErasureService(doors.database, changes, doors.credentials)


async def jobs(team: Team) -> set[tuple[str, object]]:
    async with team.database.begin() as session:
        return {(job.kind, job.workspace_id) for job in (await session.exec(select(Job))).all()}


async def user(team: Team, viewer: Viewer) -> User:
    async with team.database.begin() as session:
        return await session.get_one(User, viewer.user_id)


async def test_whatever_one_comes_with_it_is_over(
    team: Team, doors: Doors, erasure: ErasureService, root: Viewer
) -> None:
    signed_in = await doors.register("ada@example.com")
    ada = await doors.viewer_of(signed_in.access_token)
    elsewhere = await doors.login("ada@example.com")
    secret = new_secret(KEY_PREFIX)
    async with team.database.begin(ada.workspaces) as session:
        session.add(
            ApiKey(
                workspace_id=ada.default_workspace_id,
                created_by=ada.user_id,
                secret_hash=secret_hash(secret),
                scopes=[ApiKeyScope.READ],
            )
        )
    reset = await doors.resets.create_link(root, ada.user_id)
    key = await doors.viewer_of(secret)
    presences = Presences(team.database, team.changes)

    async with presences.watched():
        with presences.of(ada) as person, presences.of(key) as program, presences.of(root) as other:
            await erasure.delete_own(ada, PASSWORD)
            async with asyncio.timeout(1.5):
                await asyncio.gather(person.wait(), program.wait())
            assert not other.is_set()

    for credential in (signed_in.access_token, elsewhere.access_token, secret):
        with pytest.raises(Unauthenticated):
            await doors.viewer_of(credential)
    for attempt in (
        doors.login("ada@example.com"),
        doors.refresh(signed_in.refresh_token),
        doors.resets.reset(reset.token, "another correct horse", root.client),
    ):
        with pytest.raises(InvalidCredentials):
            await attempt
    # The row waits for its job; nothing in it tells of a person any more.
    row = await user(team, ada)
    assert (row.email, row.name, row.password_hash) == (f"{ada.user_id}@deleted.invalid", "Deleted account", "!")
    assert await jobs(team) == {(PURGE_ACCOUNT, ada.user_id), (PURGE_WORKSPACE, ada.default_workspace_id)}
    assert await team.roles(ada.default_workspace_id) == {}
    again = await doors.register("ada@example.com")
    assert again.user.id != ada.user_id
    assert not again.user.is_admin


async def test_the_log_says_that_it_was_deleted(team: Team, erasure: ErasureService, ada: Viewer) -> None:
    await erasure.delete_own(ada, PASSWORD)

    entry = (await team.audit())[-1]
    assert (entry.act, entry.actor_id, entry.subject_id) == ("ACCOUNT_DELETED", ada.user_id, ada.user_id)
    assert (entry.workspace_id, entry.object_id, entry.details) == (None, None, {})


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", "x" * 5_000])
async def test_without_the_password_nothing_happens(
    team: Team, doors: Doors, erasure: ErasureService, ada: Viewer, password: str
) -> None:
    with pytest.raises(InvalidCredentials):
        await erasure.delete_own(ada, password)

    assert await jobs(team) == set()
    assert (await doors.login("ada@example.com")).user.id == ada.user_id


async def test_a_key_deletes_nobody(team: Team, erasure: ErasureService, ada: Viewer) -> None:
    with pytest.raises(Forbidden, match="API keys cannot"):
        await erasure.delete_own(with_key(ada), PASSWORD)

    assert await jobs(team) == set()


async def test_others_keep_their_owner(
    team: Team, doors: Doors, erasure: ErasureService, ada: Viewer, bob: Viewer
) -> None:
    harbour, port, alone = [await team.workspace(ada, name) for name in ("Harbour", "Port", "Alone")]
    for workspace_id, role in ((harbour, EDITOR), (port, VIEWER), (ada.default_workspace_id, VIEWER)):
        await team.joined(bob, workspace_id, role)

    with pytest.raises(OthersNeedAnOwner) as refused:
        await erasure.delete_own(ada, PASSWORD)

    assert set(refused.value.names) == {"ada's workspace", "Harbour", "Port"}
    assert "“Harbour”" in refused.value.message
    assert await jobs(team) == set()
    assert await team.roles(alone) == {ada.user_id: OWNER}
    for workspace_id in (harbour, ada.default_workspace_id):
        owner = seeing(ada, workspace_id, OWNER)
        await team.members.change_role(owner, workspace_id, bob.user_id, OWNER)
    await team.workspaces.delete(seeing(ada, port, OWNER), port)
    await erasure.delete_own(ada, PASSWORD)
    assert await jobs(team) == {(PURGE_ACCOUNT, ada.user_id), (PURGE_WORKSPACE, port), (PURGE_WORKSPACE, alone)}
    for workspace_id in (harbour, ada.default_workspace_id):
        assert await team.roles(workspace_id) == {bob.user_id: OWNER}


async def test_an_owner_whose_account_is_disabled_is_none(
    team: Team, erasure: ErasureService, ada: Viewer, bob: Viewer
) -> None:
    harbour = await team.workspace(ada)
    await team.joined(bob, harbour, OWNER)
    await team.run(f"UPDATE users SET disabled_at = now() WHERE id = '{bob.user_id}'")

    with pytest.raises(OthersNeedAnOwner):
        await erasure.delete_own(ada, PASSWORD)


async def test_a_member_leaves_and_the_workspace_stays(
    team: Team, erasure: ErasureService, ada: Viewer, bob: Viewer
) -> None:
    harbour = await team.workspace(bob)
    await team.joined(ada, harbour, EDITOR)

    await erasure.delete_own(ada, PASSWORD)

    assert await team.roles(harbour) == {bob.user_id: OWNER}
    async with team.database.begin() as session:
        assert await session.get(Workspace, harbour) is not None


async def test_two_owners_who_delete_their_accounts_at_once_leave_nobody_without_one(
    team: Team, doors: Doors, erasure: ErasureService
) -> None:
    await doors.enter("root@example.com")
    for number in range(5):
        one, two, guest = [await doors.enter(f"{name}{number}@example.com") for name in ("one", "two", "guest")]
        harbour = await team.workspace(one)
        await team.joined(two, harbour, OWNER)
        await team.joined(guest, harbour, VIEWER)

        ends = await asyncio.gather(
            erasure.delete_own(one, PASSWORD), erasure.delete_own(two, PASSWORD), return_exceptions=True
        )

        assert sorted(type(end).__name__ for end in ends) == ["Erasure", "OthersNeedAnOwner"]
        assert list((await team.roles(harbour)).values()).count(OWNER) == 1


async def test_leaving_to_somebody_who_goes_himself_is_one_or_the_other(
    team: Team, doors: Doors, erasure: ErasureService
) -> None:
    await doors.enter("root@example.com")
    for number in range(5):
        one, two, guest = [await doors.enter(f"{name}{number}@example.com") for name in ("one", "two", "guest")]
        harbour = await team.workspace(one)
        await team.joined(two, harbour, EDITOR)
        await team.joined(guest, harbour, VIEWER)
        owner = seeing(one, harbour, OWNER)

        async def hand_over(owner: Viewer = owner, harbour: object = harbour, two: Viewer = two) -> None:
            await team.members.change_role(owner, harbour, two.user_id, OWNER)  # type: ignore[arg-type]
            await team.members.leave(owner, harbour)  # type: ignore[arg-type]

        ends = await asyncio.gather(hand_over(), erasure.delete_own(two, PASSWORD), return_exceptions=True)

        failures = [end for end in ends if isinstance(end, Exception)]
        assert {type(end) for end in failures} <= {NotFound, LastOwner, OthersNeedAnOwner}
        assert OWNER in (await team.roles(harbour)).values()


async def test_who_makes_a_workspace_meanwhile_leaves_none_behind(
    team: Team, doors: Doors, erasure: ErasureService, root: Viewer
) -> None:
    for number in range(5):
        person = await doors.enter(f"p{number}@example.com")

        made, _ = await asyncio.gather(
            team.workspaces.create(person, "Late"), erasure.delete_own(person, PASSWORD), return_exceptions=True
        )

        assert isinstance(made, Workspace | Unauthenticated)
        lonely = "SELECT count(*) FROM workspaces WHERE name = 'Late' AND id NOT IN (SELECT workspace_id FROM jobs)"
        assert await team.run(lonely) == [(0,)]


async def test_deleting_ten_times_at_once_is_deleting_once(team: Team, erasure: ErasureService, ada: Viewer) -> None:
    ends = await asyncio.gather(*(erasure.delete_own(ada, PASSWORD) for _ in range(10)), return_exceptions=True)

    assert sum(not isinstance(end, Exception) for end in ends) == 1
    assert {type(end) for end in ends if isinstance(end, Exception)} <= {InvalidCredentials, Unauthenticated}
    assert [entry.act for entry in await team.audit()].count("ACCOUNT_DELETED") == 1


async def test_the_last_administrator_goes_only_with_the_last_user(
    team: Team, doors: Doors, erasure: ErasureService, root: Viewer
) -> None:
    ada = await doors.enter("ada@example.com")
    with pytest.raises(LastAdministrator):
        await erasure.delete_own(root, PASSWORD)

    await erasure.delete_own(ada, PASSWORD)
    await erasure.delete_own(root, PASSWORD)

    assert (await doors.register("new@example.com")).user.is_admin


async def test_one_of_two_administrators_may_go_but_not_both_at_once(
    team: Team, doors: Doors, erasure: ErasureService, root: Viewer, bob: Viewer
) -> None:
    ada = await doors.enter("ada@example.com")
    await doors.users.set_admin(root, ada.user_id, is_admin=True)

    ends = await asyncio.gather(
        erasure.delete_own(root, PASSWORD), erasure.delete_own(ada, PASSWORD), return_exceptions=True
    )

    assert sorted(type(end).__name__ for end in ends) == ["Erasure", "LastAdministrator"]


async def test_the_operator_deletes_by_address(team: Team, erasure: ErasureService, ada: Viewer, bob: Viewer) -> None:
    harbour = await team.workspace(ada)
    await team.joined(bob, harbour, VIEWER)
    for email, refusal in (("nobody@example.com", NotFound), ("ada@example.com", OthersNeedAnOwner)):
        with pytest.raises(refusal):
            await erasure.delete(Operator(), email)

    ended = await erasure.delete(Operator(), " BOB@example.com ")

    assert ended.user_id == bob.user_id
    assert not await erasure.is_done(ended)
    await team.run("DELETE FROM jobs")
    assert await erasure.is_done(ended)
    entry = (await team.audit())[-1]
    assert (entry.act, entry.actor_id, entry.subject_id) == ("ACCOUNT_DELETED", None, bob.user_id)


async def test_nobody_takes_the_address_that_an_account_will_need(
    doors: Doors, erasure: ErasureService, ada: Viewer, bob: Viewer
) -> None:
    """Or he could keep Ada, whose id members of her workspace see, from ever deleting her account."""
    address = f"{ada.user_id}@Deleted.Invalid "
    for attempt in (doors.register(address), doors.credentials.change_email(bob, PASSWORD, address)):
        with pytest.raises(InvalidInput):
            await attempt

    assert (await erasure.delete_own(ada, PASSWORD)).user_id == ada.user_id


async def test_nobody_deletes_somebody_elses_account(team: Team, erasure: ErasureService, ada: Viewer) -> None:
    """There is no id to send; a viewer who is no user at all changes nothing either."""
    nobody = Viewer(new_id(), None, {}, new_id())
    with pytest.raises(KyroError):
        await erasure.delete_own(nobody, PASSWORD)

    assert await jobs(team) == set()
