"""All of one's data in an archive, and nothing of anybody else's; and the end of an account, over the wire."""

import asyncio
import io
import json
import zipfile
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.graphql.sending import codes
from tests.graphql.test_api_members import ACCEPT, INVITE
from tests.graphql.test_api_workspaces import CREATE, CREATE_BOT
from tests.graphql_client import GraphQLClient, register
from tests.journey.steps import (
    ADD_TEXT,
    DEADLINE_S,
    SEND,
    UPLOAD,
    new_conversation,
    until_read,
    watched,
)

pytestmark = pytest.mark.usefixtures("no_faults")

EXPORT = "mutation { exportAccount { __typename ... on AccountExport { url expiresAt } ... on Problem { message } } }"
DELETE = """mutation ($password: String!) { deleteAccount(input: {currentPassword: $password}) {
  __typename ... on DeletedAccount { userId } ... on Problem { message } } }"""
LOGIN = """mutation ($email: String!, $password: String!) { login(input: {email: $email, password: $password}) {
  __typename ... on Problem { message } } }"""
KEY = """mutation { createApiKey(input: {name: "Program", scopes: [READ]}) {
  ... on ApiKeyCreated { secret apiKey { id } } } }"""
RATE = """mutation ($id: ID!, $comment: String) {
  rateAnswer(input: {messageId: $id, rating: UP, comment: $comment}) { __typename } }"""
PASSWORD = "correct horse battery staple"
# What belongs to one person and must not turn up anywhere else.
OWN = "The heron of Ada stands in the reeds."
SHARED = "The harbour of Ada and Bob closes at ten."
FOREIGN = "The otter of Cyd sleeps in the bank."
QUESTIONS = {
    OWN: "Where does the heron of Ada stand?",
    SHARED: "When does the harbour of Ada and Bob close?",
    FOREIGN: "Where does the otter of Cyd sleep?",
}
BOBS_QUESTION = "Does Bob wonder when the harbour closes?"


@dataclass(frozen=True)
class Scene:
    """Ada owns a workspace in which Bob is a viewer who has asked something; Cyd knows neither."""

    ada: GraphQLClient
    bob: GraphQLClient
    cyd: GraphQLClient
    harbour: str


SET_TOOL = """mutation ($bot: ID!) { setBotTool(input: {botId: $bot, name: "tides", description: "Tides.",
  url: "https://tools.example/tides", parameters: {type: "object", properties: {}},
  headers: [{name: "X-Api-Key", value: "0123456789abcdef"}]}) { ... on BotTool { id } } }"""


async def asked(user: GraphQLClient, bot_id: str, question: str) -> str:
    conversation = await new_conversation(user, bot_id)
    exchange = await user.run(SEND, conversation=conversation, text=question)
    await watched(user, exchange["answer"]["id"])
    await user.run(RATE, id=exchange["answer"]["id"], comment=f"On {question}")
    return conversation


@pytest.fixture
async def scene(visitor: GraphQLClient) -> Scene:
    ada, bob, cyd = [await register(visitor) for _ in range(3)]
    harbour = (await ada.run(CREATE, name="Harbour"))["id"]
    link = await ada.run(INVITE, **{"in": harbour}, role="VIEWER")
    assert (await bob.run(ACCEPT, token=link["token"]))["__typename"] == "Workspace"
    for user, workspace_id, text in ((ada, None, OWN), (ada, harbour, SHARED), (cyd, None, FOREIGN)):
        bot = await user.run(CREATE_BOT, name="Clerk", **{"in": workspace_id})
        document = await user.run(ADD_TEXT, bot=bot["id"], title="../../note.txt", text=text)
        await until_read(user, document["id"])
        await asked(user, bot["id"], QUESTIONS[text])
        if workspace_id is not None:
            await asked(bob, bot["id"], BOBS_QUESTION)
    return Scene(ada, bob, cyd, harbour)


async def fetched(user: GraphQLClient) -> zipfile.ZipFile:
    """Ask for the link, and follow it as a browser does: without any other credentials."""
    link = await user.run(EXPORT)
    assert link["__typename"] == "AccountExport"
    response = await user.http.get(link["url"])
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"].startswith('attachment; filename="kyrochat-export-')
    assert response.headers["cache-control"] == "no-store"
    zipped = zipfile.ZipFile(io.BytesIO(response.content))
    assert zipped.testzip() is None
    return zipped


def everything(zipped: zipfile.ZipFile) -> str:
    return "\n".join(zipped.read(name).decode("utf-8", "replace") for name in zipped.namelist())


async def test_an_archive_has_all_of_ones_own(scene: Scene) -> None:
    bot = await scene.ada.run(CREATE_BOT, name="Clerk of files", **{"in": scene.harbour})
    file = b"# Tides\n\nHigh water comes twice a day.\n" * 2_000
    uploaded = await scene.ada.upload(UPLOAD, "tides.md", file, bot=bot["id"])
    await until_read(scene.ada, uploaded["id"])
    secret = (await scene.ada.run(KEY))["secret"]
    await scene.ada.run(SET_TOOL, bot=bot["id"])
    me = await scene.ada.run("{ me { email } }")

    zipped = await fetched(scene.ada)

    assert zipped.namelist()[:4] == ["account.json", "workspaces.json", "api-keys.json", "audit-log.json"]
    assert json.loads(zipped.read("account.json"))["email"] == me["email"]
    assert {one["name"] for one in json.loads(zipped.read("workspaces.json"))} >= {"Harbour"}
    documents = {name: json.loads(zipped.read(name)) for name in zipped.namelist() if name.endswith("document.json")}
    assert sorted(one["title"] for one in documents.values()) == ["../../note.txt", "../../note.txt", "tides.md"]
    by_title: dict[str, list[str]] = {}
    for name, one in documents.items():
        by_title.setdefault(one["title"], []).append(name.removesuffix("document.json"))
    (folder,) = by_title["tides.md"]
    assert zipped.read(f"{folder}original.md") == file
    assert zipped.read(f"{folder}text-1.txt").decode().count("High water comes twice a day.") == 2_000
    assert sorted(zipped.read(f"{each}original.txt").decode() for each in by_title["../../note.txt"]) == [SHARED, OWN]
    conversations = [json.loads(zipped.read(name)) for name in zipped.namelist() if name.startswith("conversations/")]
    assert {one["messages"][0]["text"] for one in conversations} == {QUESTIONS[SHARED], QUESTIONS[OWN]}
    for one in conversations:
        assert [message["role"] for message in one["messages"]] == ["USER", "ASSISTANT"]
        assert QUESTIONS[one["messages"][1]["citations"][0]["quote"]] == one["messages"][0]["text"]
        assert one["messages"][1]["feedback"]["comment"] == f"On {one['messages'][0]['text']}"
        assert one["conversation"]["activeLeafId"] == one["messages"][1]["id"]
    assert [key["name"] for key in json.loads(zipped.read("api-keys.json"))] == ["Program"]
    assert secret not in everything(zipped)
    (tool,) = (
        each
        for name in zipped.namelist()
        if name.endswith("/bot.json")
        for each in json.loads(zipped.read(name))["tools"]
    )
    assert (tool["name"], tool["headerNames"]) == ("tides", ["X-Api-Key"])
    assert "0123456789abcdef" not in everything(zipped)
    assert {entry["act"] for entry in json.loads(zipped.read("audit-log.json"))} >= {
        "ACCOUNT_REGISTERED",
        "BOT_CREATED",
    }


async def test_an_archive_has_nothing_of_anybody_else(scene: Scene) -> None:
    people = {name: await user.run("{ me { id email } }") for name, user in vars(scene).items() if name != "harbour"}
    adas, bobs = everything(await fetched(scene.ada)), everything(await fetched(scene.bob))

    for foreign in (FOREIGN, QUESTIONS[FOREIGN], BOBS_QUESTION, people["bob"]["email"], people["cyd"]["email"]):
        assert foreign not in adas
    # A viewer takes his own questions and their answers along, not the workspace that is somebody else's.
    assert BOBS_QUESTION in bobs
    for foreign in (OWN, FOREIGN, *QUESTIONS.values(), people["ada"]["email"], "original", '"instructions"'):
        assert foreign not in bobs
    names = (await fetched(scene.bob)).namelist()
    assert [name for name in names if name.startswith("workspaces/")] == []
    for name in (await fetched(scene.ada)).namelist():
        assert ".." not in name
        assert not name.startswith("/")


async def test_whoever_has_no_good_link_gets_nothing(scene: Scene) -> None:
    link = await scene.ada.run(EXPORT)
    base, _, token = link["url"].partition("?token=")
    key = await scene.ada.run(KEY)

    for wrong in ("", "?token=", "?token=garbage", f"?token={scene.ada.token}", f"?token={token}x", f"?other={token}"):
        response = await scene.ada.http.get(base + wrong, headers=scene.ada.headers)
        assert (response.status_code, list(response.json())) == (401, ["error"]), wrong
    assert (await scene.ada.http.post(link["url"])).status_code == 405
    head = await scene.ada.http.head(link["url"])
    assert (head.status_code, head.content, head.headers.get("content-length")) == (200, b"", None)
    assert codes(await replace(scene.ada, token=token).answer("{ me { id } }")) == ["UNAUTHENTICATED"]
    assert codes(await replace(scene.ada, token=key["secret"]).answer(EXPORT)) == ["FORBIDDEN"]
    await scene.ada.run("mutation { logout }")
    assert (await scene.ada.http.get(link["url"])).status_code == 401


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing_running(scene: Scene) -> None:
    bot = await scene.ada.run(CREATE_BOT, name="Big", **{"in": scene.harbour})
    uploaded = await scene.ada.upload(UPLOAD, "big.txt", b"A line of text.\n" * 500_000, bot=bot["id"])
    assert uploaded["__typename"] == "Document"

    for _ in range(6):  # more than may run at once
        link = await scene.ada.run(EXPORT)
        async with scene.ada.http.stream("GET", link["url"]) as response:
            assert response.status_code == 200
            async for _ in response.aiter_raw():
                break

    assert (await fetched(scene.ada)).namelist()


async def test_an_account_that_was_deleted_is_over_at_once_and_its_workspaces_too(scene: Scene) -> None:
    me = await scene.cyd.run("{ me { id email } }")
    bots = await scene.cyd.run("{ bots { nodes { id } } }")
    program = replace(scene.cyd, token=(await scene.cyd.run(KEY))["secret"])
    link = await scene.cyd.run(EXPORT)

    wrong = await scene.cyd.run(DELETE, password="wrong")
    assert wrong["__typename"] == "InvalidCredentialsProblem"
    async with scene.cyd.socket() as socket:
        deleted = await scene.cyd.run(DELETE, password=PASSWORD)
        assert deleted == {"__typename": "DeletedAccount", "userId": me["id"]}
        await asyncio.wait_for(socket.connection.wait_closed(), DEADLINE_S)

    assert socket.connection.close_code == 4403
    for client in (scene.cyd, program):
        assert codes(await client.answer("{ bots { nodes { id } } }")) == ["UNAUTHENTICATED"]
    assert (await scene.cyd.http.get(link["url"])).status_code == 401
    login = await scene.cyd.nobody().run(LOGIN, email=me["email"], password=PASSWORD)
    assert login["__typename"] == "InvalidCredentialsProblem"
    for node in bots["nodes"]:
        assert await scene.ada.run("query ($id: ID!) { node(id: $id) { id } }", id=node["id"]) is None


async def test_whoever_is_needed_is_told_where(scene: Scene) -> None:
    refused = await scene.ada.run(DELETE, password=PASSWORD)

    assert refused["__typename"] == "ConflictProblem"
    assert "“Harbour”" in refused["message"]
    assert (await scene.ada.run("{ me { id } }"))["id"]
    left = await scene.bob.run(DELETE, password=PASSWORD)
    assert left["__typename"] == "DeletedAccount"
    members: Any = await scene.ada.run(
        "query ($id: ID!) { workspace(id: $id) { members { totalCount } } }", id=scene.harbour
    )
    assert members["members"]["totalCount"] == 1
    gone = await scene.ada.run(DELETE, password=PASSWORD)
    assert gone["__typename"] == "DeletedAccount"
