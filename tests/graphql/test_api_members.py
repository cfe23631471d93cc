"""A workspace with several people, through the API: invited, let in, promoted, demoted, put out."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.graphql.sending import codes
from tests.graphql.test_api_workspaces import BOTS, CREATE, CREATE_BOT, DELETE, LEAVE, RENAME, WORKSPACE, names
from tests.graphql_client import GraphQLClient, Refused, Socket, register
from tests.journey.steps import ADD_TEXT, DEADLINE_S

pytestmark = pytest.mark.usefixtures("no_faults")

INVITE = """mutation ($in: ID, $role: WorkspaceRole, $email: String, $days: Int) {
  createInvitation(input: {workspaceId: $in, role: $role, email: $email, expiresInDays: $days}) {
    __typename ... on InvitationCreated { token url invitation { id role email expiresAt } }
    ... on Problem { message } } }"""
PREVIEW = "query ($token: String!) { invitation(token: $token) { workspaceName role } }"
ACCEPT = """mutation ($token: String!) { acceptInvitation(input: {token: $token}) {
  __typename ... on Workspace { id name viewerRole members { totalCount } invitations { totalCount } }
  ... on Problem { message } } }"""
REVOKE = """mutation ($id: ID!) { revokeInvitation(id: $id) {
  __typename ... on RevokedInvitation { id } ... on Problem { message } } }"""
CHANGE = """mutation ($in: ID!, $who: ID!, $role: WorkspaceRole!) {
  changeMemberRole(input: {workspaceId: $in, userId: $who, role: $role}) {
    __typename ... on Member { name role } ... on Problem { message } } }"""
REMOVE = """mutation ($in: ID!, $who: ID!) { removeMember(input: {workspaceId: $in, userId: $who}) {
  __typename ... on RemovedMember { userId } ... on Problem { message } } }"""
INSIDE = """query ($id: ID!) { workspace(id: $id) { viewerRole
  members { nodes { userId email role } } invitations { nodes { id } } } }"""
REGISTER = """mutation ($email: String!, $token: String) {
  register(input: {email: $email, password: "correct horse battery staple", invitationToken: $token}) {
    __typename ... on Session { accessToken user { id } } ... on InvalidInputProblem { issues { path } }
    ... on Problem { message } } }"""


@dataclass(frozen=True)
class Harbour:
    """Ada's workspace, in which Bob is a viewer, and Cyd nobody."""

    id: str
    ada: GraphQLClient
    bob: GraphQLClient
    cyd: GraphQLClient
    bobs_id: str

    async def invited(self, role: str = "VIEWER", **options: Any) -> dict[str, Any]:
        link: dict[str, Any] = await self.ada.run(INVITE, **{"in": self.id}, role=role, **options)
        assert link["__typename"] == "InvitationCreated"
        return link


@pytest.fixture
async def harbour(visitor: GraphQLClient) -> Harbour:
    ada, bob, cyd = [await register(visitor) for _ in range(3)]
    made = await ada.run(CREATE, name="Harbour")
    scene = Harbour(made["id"], ada, bob, cyd, (await bob.run("{ me { id } }"))["id"])
    joined = await bob.run(ACCEPT, token=(await scene.invited())["token"])
    assert joined == {
        "__typename": "Workspace",
        "id": scene.id,
        "name": "Harbour",
        "viewerRole": "VIEWER",
        "members": {"totalCount": 2},
        "invitations": None,
    }
    return scene


async def test_a_link_is_shown_to_anybody_who_has_it_and_lets_one_in(visitor: GraphQLClient, harbour: Harbour) -> None:
    link = await harbour.invited("EDITOR")
    assert link["url"] == f"{visitor.url.removesuffix('/graphql')}/invitation#{link['token']}"

    assert await visitor.run(PREVIEW, token=link["token"]) == {"workspaceName": "Harbour", "role": "EDITOR"}
    assert await visitor.run(PREVIEW, token="kci_wrong") is None
    joined = await harbour.cyd.run(ACCEPT, token=link["token"])

    assert (joined["viewerRole"], joined["members"]["totalCount"]) == ("EDITOR", 3)
    assert await visitor.run(PREVIEW, token=link["token"]) is None
    again = await harbour.bob.run(ACCEPT, token=link["token"])
    never = await harbour.bob.run(ACCEPT, token="kci_wrong")
    assert again == never
    assert again["__typename"] == "NotFoundProblem"


async def test_owners_see_invitations_and_addresses_and_others_do_not(harbour: Harbour) -> None:
    link = await harbour.invited(email="dot@example.org", days=1)
    addresses = {(await user.run("{ me { email } }"))["email"] for user in (harbour.ada, harbour.bob)}

    as_owner = await harbour.ada.run(INSIDE, id=harbour.id)
    as_viewer = await harbour.bob.run(INSIDE, id=harbour.id)

    assert {member["email"] for member in as_owner["members"]["nodes"]} == addresses
    assert as_owner["invitations"]["nodes"] == [{"id": link["invitation"]["id"]}]
    assert [member["email"] for member in as_viewer["members"]["nodes"] if member["role"] == "OWNER"] == [None]
    assert as_viewer["invitations"] is None
    assert await harbour.cyd.run(INSIDE, id=harbour.id) is None
    assert await harbour.bob.run("query ($id: ID!) { node(id: $id) { id } }", id=link["invitation"]["id"]) is None


async def test_viewers_do_nothing_that_editors_or_owners_do(harbour: Harbour) -> None:
    link = await harbour.invited()
    bot = await harbour.ada.run(CREATE_BOT, name="Clerk", **{"in": harbour.id})
    asked: list[tuple[str, dict[str, Any]]] = [
        (CREATE_BOT, {"name": "Mine", "in": harbour.id}),
        (ADD_TEXT, {"bot": bot["id"], "title": "Mine", "text": "Mine."}),
        (RENAME, {"id": harbour.id, "name": "Mine"}),
        (DELETE, {"id": harbour.id}),
        (INVITE, {"in": harbour.id, "role": "OWNER"}),
        (CHANGE, {"in": harbour.id, "who": harbour.bobs_id, "role": "OWNER"}),
        (REMOVE, {"in": harbour.id, "who": harbour.bobs_id}),
    ]

    for query, variables in asked:
        assert codes(await harbour.bob.answer(query, variables)) == ["FORBIDDEN"], query
    assert (await harbour.bob.run(REVOKE, id=link["invitation"]["id"]))["__typename"] == "NotFoundProblem"

    assert await names(harbour.bob, harbour.id) == ["Clerk"]
    assert (await harbour.ada.run(INSIDE, id=harbour.id))["invitations"]["nodes"] == [{"id": link["invitation"]["id"]}]


async def test_a_role_holds_on_an_open_socket_from_the_next_operation_on(harbour: Harbour) -> None:
    async def create(socket: Socket, name: str) -> str:
        try:
            (made,) = [value async for value in socket.watch(CREATE_BOT, name=name, **{"in": harbour.id})]
        except Refused as refused:
            assert (await socket.receive())["type"] == "complete"
            return refused.codes[0]
        return str(made["__typename"])

    async with harbour.bob.socket() as socket:
        seen = [await create(socket, "A")]
        for role in ("EDITOR", "VIEWER"):
            changed = await harbour.ada.run(CHANGE, **{"in": harbour.id}, who=harbour.bobs_id, role=role)
            assert changed["role"] == role
            seen.append(await create(socket, "A"))

    assert seen == ["FORBIDDEN", "Bot", "FORBIDDEN"]


@asynccontextmanager
async def connected(user: GraphQLClient) -> AsyncGenerator[Socket, None]:
    """Open a socket that has worked."""
    async with user.socket() as socket:
        assert [value async for value in socket.watch("{ me { id } }")]
        yield socket


async def test_who_is_removed_is_out_at_once_also_on_open_sockets(harbour: Harbour) -> None:
    async with connected(harbour.bob) as bobs, connected(harbour.ada) as adas:
        removed = await harbour.ada.run(REMOVE, **{"in": harbour.id}, who=harbour.bobs_id)
        assert removed == {"__typename": "RemovedMember", "userId": harbour.bobs_id}
        assert await harbour.bob.run(WORKSPACE, id=harbour.id) is None
        await asyncio.wait_for(bobs.connection.wait_closed(), DEADLINE_S)
        assert [value async for value in adas.watch(WORKSPACE, id=harbour.id)]

    assert bobs.connection.close_code == 4403
    assert codes(await harbour.bob.answer(BOTS, {"id": harbour.id})) == ["BAD_USER_INPUT"]


async def test_a_socket_that_is_older_than_the_membership_ends_with_it(harbour: Harbour) -> None:
    async with connected(harbour.cyd) as socket:
        await harbour.cyd.run(ACCEPT, token=(await harbour.invited())["token"])
        assert [value async for value in socket.watch(WORKSPACE, id=harbour.id)] == [
            {"id": harbour.id, "name": "Harbour"}
        ]
        assert (await harbour.cyd.run(LEAVE, id=harbour.id))["__typename"] == "LeftWorkspace"
        await asyncio.wait_for(socket.connection.wait_closed(), DEADLINE_S)


async def test_with_an_invitation_one_registers_into_a_workspace(visitor: GraphQLClient, harbour: Harbour) -> None:
    link = await harbour.invited("EDITOR", email="dot-registers@example.org")

    wrong = await visitor.run(REGISTER, email="mallory@example.org", token=link["token"])
    right = await visitor.run(REGISTER, email="dot-registers@example.org", token=link["token"])

    assert wrong["__typename"] == "InvalidInputProblem"
    assert [issue["path"] for issue in wrong["issues"]] == [["input", "invitationToken"]]
    dot = GraphQLClient(visitor.url, visitor.http, right["accessToken"])
    assert (await dot.run(INSIDE, id=harbour.id))["viewerRole"] == "EDITOR"
    # Without a workspace of its choice it is the personal one.
    assert (await dot.run(CREATE_BOT, name="Own"))["workspace"]["id"] != harbour.id


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ('mutation { acceptInvitation(input: {token: "x", role: OWNER}) { __typename } }', "role"),
        ('mutation { acceptInvitation(input: {token: "x", userId: "x"}) { __typename } }', "userId"),
        ('mutation { createWorkspace(input: {name: "x", ownerId: "x"}) { __typename } }', "ownerId"),
        ('mutation { createWorkspace(input: {name: "x", isPersonal: true}) { __typename } }', "isPersonal"),
        ('mutation { updateWorkspace(input: {id: "x", name: "x", id2: "x"}) { __typename } }', "id2"),
        ('mutation { createInvitation(input: {createdBy: "x", tokenHash: "x"}) { __typename } }', "createdBy"),
        ('mutation { register(input: {email: "a@b", password: "x", isAdmin: true}) { __typename } }', "isAdmin"),
        ('mutation { register(input: {email: "a@b", password: "x", role: OWNER}) { __typename } }', "role"),
    ],
)
async def test_nobody_sets_what_is_not_asked_for(harbour: Harbour, query: str, field: str) -> None:
    answer = await harbour.cyd.answer(query)

    assert set(codes(answer)) == {"GRAPHQL_VALIDATION_FAILED"}
    assert field in str(answer["errors"])


async def test_to_the_server_itself_only_administrators_invite(harbour: Harbour) -> None:
    for user in (harbour.ada, harbour.bob):
        assert codes(await user.answer(INVITE)) == ["FORBIDDEN"]
        assert codes(await user.answer("{ siteInvitations { totalCount } }")) == ["FORBIDDEN"]
