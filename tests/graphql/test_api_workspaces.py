"""Workspaces through the API: one token moves between them, and a deleted one is gone for good."""

import asyncio
from pathlib import Path

import pytest

from tests.graphql.conftest import Owner
from tests.graphql_client import GraphQLClient, Refused, register
from tests.journey.steps import ADD_TEXT, DEADLINE_S, until_read
from tests.server_process import Server

pytestmark = pytest.mark.usefixtures("no_faults")

CREATE = """mutation ($name: String!) { createWorkspace(input: {name: $name}) {
  __typename ... on Workspace { id name viewerRole members { totalCount nodes { userId name email role joinedAt } } }
  ... on Problem { message } } }"""
RENAME = """mutation ($id: ID!, $name: String!) { updateWorkspace(input: {id: $id, name: $name}) {
  __typename ... on Workspace { id name } ... on Problem { message } } }"""
DELETE = """mutation ($id: ID!) { deleteWorkspace(id: $id) {
  __typename ... on DeletedWorkspace { id } ... on Problem { message } } }"""
LEAVE = """mutation ($id: ID!) { leaveWorkspace(workspaceId: $id) {
  __typename ... on LeftWorkspace { id } ... on Problem { message } } }"""
WORKSPACE = "query ($id: ID!) { workspace(id: $id) { id name } }"
BOTS = "query ($id: ID) { bots(workspaceId: $id) { nodes { name } } }"
CREATE_BOT = """mutation ($name: String!, $in: ID) { createBot(input: {name: $name, workspaceId: $in}) {
  __typename ... on Bot { id workspace { id } } ... on Problem { message } } }"""


async def names(user: GraphQLClient, workspace_id: str | None = None) -> list[str]:
    return [bot["name"] for bot in (await user.run(BOTS, id=workspace_id))["nodes"]]


async def test_one_token_moves_between_workspaces_and_starts_in_the_personal_one(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    me = await user.run("{ me { id name email } }")
    [home] = (await user.run("{ workspaces { nodes { id } } }"))["nodes"]

    harbour = await user.run(CREATE, name=" Harbour ")

    assert (harbour["__typename"], harbour["name"], harbour["viewerRole"]) == ("Workspace", "Harbour", "OWNER")
    assert harbour["members"]["totalCount"] == 1
    [member] = harbour["members"]["nodes"]
    assert member.pop("joinedAt")
    assert member == {"userId": me["id"], "name": me["name"], "email": me["email"], "role": "OWNER"}
    at_home = await user.run(CREATE_BOT, name="Clerk")
    in_harbour = await user.run(CREATE_BOT, name="Clerk", **{"in": harbour["id"]})
    assert [bot["workspace"]["id"] for bot in (at_home, in_harbour)] == [home["id"], harbour["id"]]
    await user.run(CREATE_BOT, name="Pilot", **{"in": harbour["id"]})
    assert await names(user, home["id"]) == ["Clerk"]
    assert await names(user, harbour["id"]) == ["Pilot", "Clerk"]
    assert await names(user) == ["Pilot", "Clerk", "Clerk"]
    assert (await user.run(RENAME, id=harbour["id"], name="Port"))["name"] == "Port"
    assert await user.run(WORKSPACE, id=harbour["id"]) == {"id": harbour["id"], "name": "Port"}


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\x00b"])
async def test_a_name_that_is_none_is_told(owner: Owner, name: str) -> None:
    before = await owner.user.run("{ workspaces { totalCount } }")

    made = await owner.user.run(CREATE, name=name)
    renamed = await owner.user.run(RENAME, id=owner.ids["Workspace"], name=name)

    assert {made["__typename"], renamed["__typename"]} == {"InvalidInputProblem"}
    assert await owner.user.run("{ workspaces { totalCount } }") == before


async def test_a_personal_workspace_and_the_only_owner_stay(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    [home] = (await user.run("{ workspaces { nodes { id } } }"))["nodes"]
    harbour = await user.run(CREATE, name="Harbour")

    ends = [await user.run(what, id=home["id"]) for what in (DELETE, LEAVE)] + [await user.run(LEAVE, id=harbour["id"])]

    assert {end["__typename"] for end in ends} == {"ConflictProblem"}
    assert "owner first" in ends[-1]["message"]
    assert (await user.run("{ workspaces { totalCount } }"))["totalCount"] == 2


async def test_a_deleted_workspace_cannot_be_reached_and_its_files_go(visitor: GraphQLClient, server: Server) -> None:
    user = await register(visitor)
    harbour = await user.run(CREATE, name="Harbour")
    bot = await user.run(CREATE_BOT, name="Clerk", **{"in": harbour["id"]})
    before = files(server)
    document = await user.run(ADD_TEXT, bot=bot["id"], title="Clock", text="It is wound on Mondays.")
    await until_read(user, document["id"])
    assert len(files(server)) == len(before) + 1

    gone = await user.run(DELETE, id=harbour["id"])

    assert gone == {"__typename": "DeletedWorkspace", "id": harbour["id"]}
    assert await user.run(WORKSPACE, id=harbour["id"]) is None
    for node_id in (harbour["id"], bot["id"], document["id"]):
        assert await user.run("query ($id: ID!) { node(id: $id) { id } }", id=node_id) is None
    again = await user.run(DELETE, id=harbour["id"])
    refused = await user.run(CREATE_BOT, name="Late", **{"in": harbour["id"]})
    assert [again["__typename"], refused["__typename"]] == ["NotFoundProblem"] * 2
    with pytest.raises(Refused):
        await names(user, harbour["id"])
    async with asyncio.timeout(DEADLINE_S):
        while files(server) != before:
            await asyncio.sleep(0.05)
    assert await names(user) == []


async def test_sockets_end_with_the_workspace_that_they_could_reach(visitor: GraphQLClient) -> None:
    user = await register(visitor)
    harbour = await user.run(CREATE, name="Harbour")

    async with user.socket() as socket:
        await user.run(DELETE, id=harbour["id"])
        await asyncio.wait_for(socket.connection.wait_closed(), DEADLINE_S)

    assert socket.connection.close_code == 4403
    async with user.socket() as socket:
        assert [value async for value in socket.watch("{ workspaces { totalCount } }")] == [{"totalCount": 1}]


def files(server: Server) -> set[Path]:
    return {path for path in (server.data_dir / "files").rglob("*") if path.is_file()}
