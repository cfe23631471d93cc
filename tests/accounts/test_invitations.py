"""Invitations: a link that lets one person in, once, and tells everybody else nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from sqlalchemy import text

from kyrochat.accounts.invitations import DEFAULT_DAYS, MAX_OPEN, InvitationLink, MemberAlready, Preview
from kyrochat.accounts.registration import EmailTaken
from kyrochat.accounts.sessions import SignedIn
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.db.changes import ACCESS_TOPIC
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.keyset import PageRequest
from kyrochat.db.states import WorkspaceRole
from kyrochat.errors import Forbidden, InvalidInput, NotFound, QuotaExceeded
from kyrochat.setting_values import Registration
from tests.accounts.scene import LAPTOP, PASSWORD, Doors
from tests.accounts.team import Team, seeing
from tests.accounts.test_workspaces import with_key
from tests.remains import remains

OWNER, EDITOR, VIEWER = WorkspaceRole.OWNER, WorkspaceRole.EDITOR, WorkspaceRole.VIEWER
ALL = PageRequest(100)


@pytest.fixture
async def ada(team: Team) -> Viewer:
    return await team.person("ada")


@pytest.fixture
async def bob(team: Team) -> Viewer:
    return await team.person("bob")


def site_admin(viewer: Viewer) -> Viewer:
    return replace(viewer, is_admin=True)


async def made_admin(team: Team, viewer: Viewer) -> Viewer:
    await team.run(f"UPDATE users SET is_admin = true WHERE id = '{viewer.user_id}'")
    return site_admin(viewer)


async def test_a_link_shows_its_token_once_and_only_the_hash_is_stored(
    team: Team, ada: Viewer, urls: DatabaseUrls
) -> None:
    home = ada.default_workspace_id

    link = await team.invitations.create(ada, home, EDITOR)

    assert link.token.startswith("kci_")
    assert link.url == f"https://chat.example.com/invitation#{link.token}"
    assert link.token not in repr(link)
    [row] = (await team.invitations.page(ada, home, ALL)).rows
    assert (row.id, row.role, row.email, row.created_by) == (link.invitation.id, EDITOR, "", ada.user_id)
    assert row.token_hash == sha256(link.token.encode()).digest()
    assert (row.expires_at - row.created_at).total_seconds() == pytest.approx(DEFAULT_DAYS * 86_400, abs=60)
    assert await remains(urls.owner, link.token) == {}
    [entry] = await team.audit()
    assert (entry.act, entry.actor_id, entry.object_id) == ("INVITATION_CREATED", ada.user_id, row.id)
    assert entry.details == {"role": "EDITOR", "for_one_address": False}


async def test_who_accepts_is_in_and_the_invitation_is_gone(team: Team, ada: Viewer, bob: Viewer) -> None:
    home = ada.default_workspace_id
    link = await team.invitations.create(ada, home, EDITOR)

    with team.changes.watch(ACCESS_TOPIC) as bell:
        workspace, role = await team.invitations.accept(bob, link.token)
        assert await bell.wait(10)

    assert (workspace.id, role) == (home, EDITOR)
    assert await team.roles(home) == {ada.user_id: OWNER, bob.user_id: EDITOR}
    assert (await team.invitations.page(ada, home, ALL)).rows == []
    entry = (await team.audit())[-1]
    assert (entry.act, entry.actor_id, entry.workspace_id) == ("INVITATION_ACCEPTED", bob.user_id, home)
    with pytest.raises(NotFound):
        await team.invitations.accept(await team.person("cyd"), link.token)


Spoil = Callable[[Team, Viewer, InvitationLink], Awaitable[object]]


async def let_it_expire(team: Team, owner: Viewer, link: InvitationLink) -> None:
    await team.run(
        f"UPDATE invitations SET expires_at = now() WHERE id = '{link.invitation.id}'", owner.default_workspace_id
    )


async def revoke_it(team: Team, owner: Viewer, link: InvitationLink) -> None:
    await team.invitations.revoke(owner, link.invitation.id)


async def use_it(team: Team, owner: Viewer, link: InvitationLink) -> None:
    await team.invitations.accept(await team.person("first"), link.token)


async def disable_its_maker(team: Team, owner: Viewer, link: InvitationLink) -> None:
    await team.run(f"UPDATE users SET disabled_at = now() WHERE id = '{owner.user_id}'")


async def demote_its_maker(team: Team, owner: Viewer, link: InvitationLink) -> None:
    await team.run(f"UPDATE workspace_members SET role = 'EDITOR' WHERE user_id = '{owner.user_id}'")


async def remove_its_maker(team: Team, owner: Viewer, link: InvitationLink) -> None:
    await team.run(f"DELETE FROM workspace_members WHERE user_id = '{owner.user_id}'")


SPOILS: list[Spoil] = [
    let_it_expire,
    revoke_it,
    use_it,
    disable_its_maker,
    demote_its_maker,
    remove_its_maker,
]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
async def test_what_is_not_good_any_more_is_like_what_never_was(
    team: Team, doors: Doors, ada: Viewer, bob: Viewer, spoil: Spoil
) -> None:
    link = await team.invitations.create(ada, ada.default_workspace_id, VIEWER)
    await spoil(team, ada, link)
    before = await team.roles(ada.default_workspace_id)

    told = set()
    for token in (link.token, "kci_" + "A" * 43, "", "\x00", "\ud800", "x" * 10_000):
        assert await team.invitations.preview(token) is None
        with pytest.raises(NotFound) as refused:
            await team.invitations.accept(bob, token)
        told.add(refused.value.message)
        if token:
            with pytest.raises(InvalidInput) as invalid:
                await registered(doors, "new@example.com", token)
            told.add(str(invalid.value.issues))

    assert len(told) == 2
    assert await team.roles(ada.default_workspace_id) == before


async def registered(doors: Doors, email: str, token: str | None, mode: Registration = Registration.OPEN) -> SignedIn:
    registration = replace(doors.registration, registration=mode)
    return await registration.register(email, PASSWORD, LAPTOP, invitation_token=token)


async def test_an_invitation_for_an_address_is_for_nobody_else(
    team: Team, doors: Doors, ada: Viewer, bob: Viewer
) -> None:
    home = ada.default_workspace_id
    link = await team.invitations.create(ada, home, VIEWER, " Bob@Example.com ")
    assert link.invitation.email == "bob@example.com"

    with pytest.raises(NotFound):
        await team.invitations.accept(await team.person("cyd"), link.token)
    with pytest.raises(InvalidInput):
        await registered(doors, "mallory@example.com", link.token)

    await team.invitations.accept(bob, link.token)
    assert (await team.roles(home)).keys() == {ada.user_id, bob.user_id}


@pytest.mark.parametrize(
    ("email", "days", "field"),
    [
        ("nobody", 7, "email"),
        ("a b@c", 7, "email"),
        ("\x00@c", 7, "email"),
        (None, 0, "expiresInDays"),
        (None, 31, "expiresInDays"),
    ],
)
async def test_rules_on_what_is_asked_for(team: Team, ada: Viewer, email: str | None, days: int, field: str) -> None:
    for workspace_id in (ada.default_workspace_id, None):
        with pytest.raises(InvalidInput) as caught:
            await team.invitations.create(site_admin(ada), workspace_id, VIEWER, email, days)
        assert [issue.path for issue in caught.value.issues] == [(field,)]


async def test_a_member_does_not_use_up_an_invitation_nor_change_what_he_is(
    team: Team, ada: Viewer, bob: Viewer
) -> None:
    home = ada.default_workspace_id
    link = await team.invitations.create(ada, home, OWNER)
    await team.joined(bob, home, VIEWER)

    for member in (ada, bob):
        with pytest.raises(MemberAlready):
            await team.invitations.accept(member, link.token)

    assert await team.roles(home) == {ada.user_id: OWNER, bob.user_id: VIEWER}
    cyd = await team.person("cyd")
    assert (await team.invitations.accept(cyd, link.token))[1] is OWNER


async def test_of_ten_who_accept_at_once_one_gets_in(team: Team, ada: Viewer) -> None:
    home = ada.default_workspace_id
    link = await team.invitations.create(ada, home, VIEWER)
    people = [await team.person(f"p{number}") for number in range(10)]

    ends = await asyncio.gather(
        *(team.invitations.accept(person, link.token) for person in people), return_exceptions=True
    )

    assert sorted(type(end).__name__ for end in ends) == ["NotFound"] * 9 + ["tuple"]
    assert len(await team.roles(home)) == 2


async def test_who_accepts_ten_times_at_once_is_in_once(team: Team, ada: Viewer, bob: Viewer) -> None:
    home = ada.default_workspace_id
    links = [await team.invitations.create(ada, home, VIEWER) for _ in range(2)]

    ends = await asyncio.gather(
        *(team.invitations.accept(bob, link.token) for link in links * 5), return_exceptions=True
    )

    assert sum(isinstance(end, tuple) for end in ends) == 1
    assert {type(end) for end in ends} <= {tuple, NotFound, MemberAlready}
    assert await team.roles(home) == {ada.user_id: OWNER, bob.user_id: VIEWER}


async def test_accepting_while_the_workspace_is_deleted_is_either_before_or_not_at_all(
    team: Team, ada: Viewer, bob: Viewer
) -> None:
    for _ in range(8):
        harbour = await team.workspace(ada)
        owner = seeing(ada, harbour, OWNER)
        link = await team.invitations.create(owner, harbour, VIEWER)

        accepted, deleted = await asyncio.gather(
            team.invitations.accept(bob, link.token), team.workspaces.delete(owner, harbour), return_exceptions=True
        )

        assert deleted == harbour
        assert isinstance(accepted, tuple | NotFound)
        assert await team.roles(harbour) == {}


async def test_accepting_and_revoking_at_once_is_one_of_them(team: Team, ada: Viewer) -> None:
    home = ada.default_workspace_id
    for number in range(8):
        person = await team.person(f"p{number}")
        link = await team.invitations.create(ada, home, VIEWER)

        accepted, revoked = await asyncio.gather(
            team.invitations.accept(person, link.token),
            team.invitations.revoke(ada, link.invitation.id),
            return_exceptions=True,
        )

        assert isinstance(accepted, NotFound) is not isinstance(revoked, NotFound)
        assert (person.user_id in await team.roles(home)) is isinstance(accepted, tuple)


@pytest.mark.parametrize("role", [EDITOR, VIEWER])
async def test_only_owners_invite_see_and_revoke(team: Team, ada: Viewer, bob: Viewer, role: WorkspaceRole) -> None:
    home = ada.default_workspace_id
    link = await team.invitations.create(ada, home, VIEWER)
    bob = await team.joined(bob, home, role)

    for attempt in (
        team.invitations.create(bob, home, OWNER),
        team.invitations.page(bob, home, ALL),
        team.invitations.count(bob, home),
    ):
        with pytest.raises(Forbidden):
            await attempt
    with pytest.raises(NotFound):
        await team.invitations.revoke(bob, link.invitation.id)
    assert await team.invitations.get(bob, link.invitation.id) is None

    assert await team.invitations.count(ada, home) == 1


async def test_invitations_of_elsewhere_are_like_none(team: Team, ada: Viewer, bob: Viewer) -> None:
    link = await team.invitations.create(ada, ada.default_workspace_id, VIEWER)

    for invitation_id in (link.invitation.id, new_id()):
        assert await team.invitations.get(bob, invitation_id) is None
        with pytest.raises(NotFound, match="no such invitation"):
            await team.invitations.revoke(bob, invitation_id)
    for workspace_id in (ada.default_workspace_id, new_id()):
        with pytest.raises(NotFound, match="no such workspace"):
            await team.invitations.create(bob, workspace_id)
        with pytest.raises(NotFound, match="no such workspace"):
            await team.invitations.page(bob, workspace_id, ALL)

    assert await team.invitations.count(ada, ada.default_workspace_id) == 1


async def test_an_owner_who_was_put_out_meanwhile_invites_nobody(team: Team, ada: Viewer) -> None:
    stale = seeing(await team.person("cyd"), ada.default_workspace_id, OWNER)

    with pytest.raises(NotFound):
        await team.invitations.create(stale, ada.default_workspace_id, OWNER)

    assert await team.invitations.count(ada, ada.default_workspace_id) == 0


async def test_keys_neither_invite_nor_accept(team: Team, ada: Viewer, bob: Viewer) -> None:
    link = await team.invitations.create(ada, ada.default_workspace_id, VIEWER)
    key = with_key(site_admin(ada))

    for attempt in (
        team.invitations.create(key, ada.default_workspace_id),
        team.invitations.create(key, None),
        team.invitations.page(key, ada.default_workspace_id, ALL),
        team.invitations.page(key, None, ALL),
        team.invitations.revoke(key, link.invitation.id),
        team.invitations.accept(with_key(bob), link.token),
    ):
        with pytest.raises(Forbidden, match="API keys cannot"):
            await attempt
    assert await team.invitations.get(key, link.invitation.id) is None

    assert await team.invitations.count(ada, ada.default_workspace_id) == 1


async def test_open_invitations_are_limited_and_expired_ones_swept_away(team: Team, ada: Viewer) -> None:
    home = ada.default_workspace_id
    await team.run(
        "INSERT INTO invitations (id, workspace_id, role, email, token_hash, created_by, expires_at)"
        f" SELECT uuidv7(), '{home}', 'VIEWER', n || '@example.com', decode(lpad(n::text, 64, '0'), 'hex'),"
        f" '{ada.user_id}', now() + interval '1 day' FROM generate_series(1, {MAX_OPEN}) AS n",
        home,
    )
    with pytest.raises(QuotaExceeded):
        await team.invitations.create(ada, home)
    await team.run("UPDATE invitations SET expires_at = now()", home)

    await team.invitations.create(ada, home)

    assert await team.run("SELECT count(*) FROM invitations", home) == [(1,)]


async def test_a_preview_tells_the_name_and_the_role_and_nothing_else(team: Team, ada: Viewer) -> None:
    admin = await made_admin(team, ada)
    into = await team.invitations.create(ada, ada.default_workspace_id, EDITOR, "bob@example.com")
    to_site = await team.invitations.create(admin, None)

    assert await team.invitations.preview(into.token) == Preview("ada's workspace", EDITOR)
    assert await team.invitations.preview(to_site.token) == Preview(None, None)


async def test_only_administrators_invite_to_the_server(team: Team, ada: Viewer, bob: Viewer) -> None:
    ada = await made_admin(team, ada)
    link = await team.invitations.create(ada, None)

    for attempt in (
        team.invitations.create(bob, None),
        team.invitations.create_for_site(bob),
        team.invitations.page(bob, None, ALL),
    ):
        with pytest.raises(Forbidden):
            await attempt
    with pytest.raises(NotFound):
        await team.invitations.revoke(bob, link.invitation.id)

    assert [row.id for row in (await team.invitations.page(ada, None, ALL)).rows] == [link.invitation.id]
    assert await team.invitations.revoke(ada, link.invitation.id) == link.invitation.id
    assert await team.invitations.count(ada, None) == 0


async def test_an_invitation_to_the_server_leads_into_no_workspace(team: Team, ada: Viewer, bob: Viewer) -> None:
    link = await team.invitations.create(await made_admin(team, ada), None)

    with pytest.raises(NotFound):
        await team.invitations.accept(bob, link.token)

    assert await team.invitations.preview(link.token) is not None


async def test_registering_with_an_invitation_joins_its_workspace_in_the_same_transaction(
    team: Team, doors: Doors, ada: Viewer
) -> None:
    home = ada.default_workspace_id
    link = await team.invitations.create(ada, home, EDITOR, "eve@example.com")

    signed_in = await registered(doors, "Eve@example.com", link.token)

    viewer = await doors.viewer_of(signed_in.access_token)
    assert viewer.workspaces == {home: EDITOR, viewer.default_workspace_id: OWNER}
    assert viewer.default_workspace_id != home
    assert await team.invitations.count(ada, home) == 0
    acts = [(entry.act, entry.workspace_id) for entry in await team.audit() if entry.actor_id == viewer.user_id]
    assert ("INVITATION_ACCEPTED", home) in acts


async def test_who_is_refused_has_not_used_the_invitation_up(team: Team, doors: Doors, ada: Viewer) -> None:
    await doors.register("taken@example.com")
    link = await team.invitations.create(ada, ada.default_workspace_id)

    with pytest.raises(EmailTaken):
        await registered(doors, "taken@example.com", link.token)
    with pytest.raises(Forbidden):
        await registered(doors, "new@example.com", link.token, Registration.CLOSED)

    assert await team.invitations.preview(link.token) is not None


async def test_of_ten_who_register_at_once_with_one_invitation_one_gets_in(team: Team, doors: Doors) -> None:
    await doors.register("admin@example.com")
    link = await team.invitations.create_for_site(Operator())

    ends = await asyncio.gather(
        *(registered(doors, f"p{number}@example.com", link.token, Registration.INVITE) for number in range(10)),
        return_exceptions=True,
    )

    assert sorted(type(end).__name__ for end in ends) == ["InvalidInput"] * 9 + ["SignedIn"]
    assert await team.run("SELECT count(*) FROM users") == [(2,)]


async def test_by_invitation_only_it_takes_one_except_of_the_first(team: Team, doors: Doors) -> None:
    first = await registered(doors, "first@example.com", None, Registration.INVITE)
    admin = await doors.viewer_of(first.access_token)
    into = await team.invitations.create(admin, admin.default_workspace_id)
    to_site = await team.invitations.create(admin, None, email="eve@example.com")

    with pytest.raises(Forbidden, match="takes an invitation"):
        await registered(doors, "eve@example.com", None, Registration.INVITE)
    with pytest.raises(InvalidInput):
        await registered(doors, "mallory@example.com", to_site.token, Registration.INVITE)
    eve = await registered(doors, "eve@example.com", to_site.token, Registration.INVITE)
    bob = await registered(doors, "bob@example.com", into.token, Registration.INVITE)

    assert first.user.is_admin
    assert not eve.user.is_admin
    assert len((await doors.viewer_of(eve.access_token)).workspaces) == 1
    assert (await doors.viewer_of(bob.access_token)).workspaces.keys() >= {admin.default_workspace_id}


async def test_an_invitation_of_somebody_who_administers_no_more_is_worthless(team: Team, doors: Doors) -> None:
    first = await doors.viewer_of((await doors.register("first@example.com")).access_token)
    his, operators = await team.invitations.create(first, None), await team.invitations.create_for_site(Operator())
    await team.run(f"UPDATE users SET is_admin = false WHERE id = '{first.user_id}'")
    await team.run(
        "INSERT INTO users (id, email, name, password_hash, is_admin) VALUES (uuidv7(), 'x', 'x', '!', true)"
    )

    with pytest.raises(InvalidInput):
        await registered(doors, "eve@example.com", his.token, Registration.INVITE)
    assert not (await registered(doors, "eve@example.com", operators.token, Registration.INVITE)).user.is_admin


async def test_a_secret_of_another_kind_is_no_invitation(team: Team, doors: Doors, ada: Viewer) -> None:
    """An invitation's token opens neither a session nor a row of another table."""
    link = await team.invitations.create(ada, ada.default_workspace_id)
    bob = await doors.register("bob@example.com")

    with pytest.raises(NotFound):
        await team.invitations.accept(await doors.viewer_of(bob.access_token), bob.refresh_token)
    async with team.database.begin(credential=sha256(link.token.encode()).digest()) as session:
        connection = await session.connection()
        tables = ("bots", "api_keys", "audit_entries", "conversations")
        seen = [(await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() for table in tables]
    assert seen == [0] * len(tables)
