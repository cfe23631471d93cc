"""The audit log as owners, administrators and programs see it, and as it is documented."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLEnumType

from tests.graphql.conftest import Owner, settled
from tests.graphql.operations import SCHEMA
from tests.graphql.sending import codes
from tests.graphql_client import GraphQLClient, Refused

pytestmark = pytest.mark.usefixtures("no_faults")
ROOT = Path(__file__).parents[2]
PAGE, SOURCES = ROOT / "docs" / "audit-log.md", ROOT / "src" / "kyrochat"
LOG = """query ($workspace: ID, $acts: [AuditAct!], $actor: ID, $object: ID, $first: Int, $after: String) {
  auditLog(workspaceId: $workspace, acts: $acts, actorId: $actor, objectId: $object, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { id act actor { userId name email } subject { userId } apiKeyId apiKeyName objectType objectId address
      details { name values } createdAt workspaceId workspace { id viewerRole } } } }"""
CREATE_KEY = """mutation ($scopes: [ApiKeyScope!]!, $bot: ID) {
  createApiKey(input: {name: "Reader", scopes: $scopes, botId: $bot}) {
    ... on ApiKeyCreated { secret apiKey { id } } } }"""


async def entries(user: GraphQLClient, **wanted: Any) -> list[dict[str, Any]]:
    page = await user.run(LOG, **{"first": 100, **wanted})
    assert page["totalCount"] == len(page["nodes"])
    nodes: list[dict[str, Any]] = page["nodes"]
    return nodes


async def made_key(owner: Owner, *scopes: str, bot: str | None = None) -> tuple[GraphQLClient, str]:
    made = await owner.user.run(CREATE_KEY, scopes=list(scopes), bot=bot)
    return replace(owner.user, token=made["secret"]), made["apiKey"]["id"]


# Which act each mutation leaves in the log. Who adds one decides, and says so here.
LEAVES = {
    "register": "ACCOUNT_REGISTERED",
    "login": "SIGNED_IN",
    "refreshSession": "REFRESH_TOKEN_REUSED",
    "logout": "SIGNED_OUT",
    "logoutEverywhere": "SESSIONS_ENDED",
    "endSession": "SESSIONS_ENDED",
    "changePassword": "PASSWORD_CHANGED",
    "changeEmail": "EMAIL_CHANGED",
    "requestPasswordReset": "PASSWORD_RESET_REQUESTED",
    "createPasswordResetLink": "PASSWORD_RESET_REQUESTED",
    "resetPassword": "PASSWORD_RESET",
    "setUserDisabled": "USER_DISABLED",
    "setUserAdmin": "USER_ROLE_CHANGED",
    "createWorkspace": "WORKSPACE_CREATED",
    "updateWorkspace": "WORKSPACE_CHANGED",
    "deleteWorkspace": "WORKSPACE_DELETED",
    "changeMemberRole": "MEMBER_ROLE_CHANGED",
    "removeMember": "MEMBER_REMOVED",
    "leaveWorkspace": "MEMBER_REMOVED",
    "createInvitation": "INVITATION_CREATED",
    "revokeInvitation": "INVITATION_REVOKED",
    "acceptInvitation": "INVITATION_ACCEPTED",
    "exportAccount": "ACCOUNT_EXPORTED",
    "deleteAccount": "ACCOUNT_DELETED",
    "createApiKey": "API_KEY_CREATED",
    "revokeApiKey": "API_KEY_REVOKED",
    "createBot": "BOT_CREATED",
    "updateBot": "BOT_CHANGED",
    "deleteBot": "BOT_DELETED",
    "setBotTool": "BOT_TOOL_SET",
    "removeBotTool": "BOT_TOOL_REMOVED",
    "replaceTextDocument": "DOCUMENT_REPLACED",
    "replaceDocument": "DOCUMENT_REPLACED",
    "deleteDocument": "DOCUMENT_DELETED",
    "deleteConversation": "CONVERSATION_DELETED",
    "shareConversation": "CONVERSATION_SHARED",
    "revokeShare": "SHARE_REVOKED",
}
# Those that let nobody in and destroy nothing: what they make can be seen.
LEAVE_NOTHING = {
    "refreshSocket",
    "updateProfile",
    "addTextDocument",
    "uploadDocument",
    "retryDocument",
    "addWebDocument",
    "refreshDocument",
    "scheduleRefresh",
    "crawlSite",
    # What it has added stays.
    "deleteCrawl",
    "pauseIngestion",
    "resumeIngestion",
    "startConversation",
    "sendMessage",
    "stopAnswer",
    # What was there stays beside it.
    "editMessage",
    "regenerateAnswer",
    "selectBranch",
    "renameConversation",
    "rateAnswer",
    "withdrawRating",
    "updateDocument",
    # Questions and figures, of which no answer is made.
    "createQuestionSet",
    "createQuestionSetFromRatings",
    "addQuestions",
    "deleteQuestionSet",
    "startEvaluation",
    "deleteEvaluation",
}


def test_each_mutation_has_its_act_or_needs_none() -> None:
    mutation = SCHEMA.mutation_type
    assert mutation is not None
    assert LEAVES.keys() | LEAVE_NOTHING == mutation.fields.keys()
    assert not LEAVES.keys() & LEAVE_NOTHING


@pytest.mark.parametrize("act", sorted(set(LEAVES.values())))
def test_what_a_mutation_leaves_is_written_somewhere(act: str) -> None:
    sources = [path.read_text("utf-8") for path in SOURCES.rglob("*.py") if path.parent.name != "graphql"]
    assert any(f"AuditAct.{act}" in source for source in sources)


def test_the_page_explains_every_act() -> None:
    acts = SCHEMA.type_map["AuditAct"]
    assert isinstance(acts, GraphQLEnumType)
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE))
    assert rows == {name: value.description for name, value in acts.values.items()}


async def test_the_query_on_the_page_runs_as_written(owner: Owner) -> None:
    (query,) = re.findall(r"```graphql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert (await owner.user.run(query))["nodes"] == []


async def test_an_entry_tells_who_did_what_to_what(visitor: GraphQLClient) -> None:
    owner = await settled(visitor)
    bot, key_id = owner.ids["Bot"], owner.ids["ApiKey"]
    await owner.user.run('mutation ($id: ID!) { updateBot(input: {id: $id, greeting: "Hi"}) { __typename } }', id=bot)

    acts = ["BOT_CREATED", "API_KEY_CREATED", "BOT_CHANGED"]
    changed, key_made, bot_made = await entries(owner.user, acts=acts)

    me = await owner.user.run("{ me { id name email } }")
    assert [entry["act"] for entry in (changed, key_made, bot_made)] == [
        "BOT_CHANGED",
        "API_KEY_CREATED",
        "BOT_CREATED",
    ]
    for entry in (changed, key_made, bot_made):
        assert entry["actor"] == {"userId": me["id"], "name": me["name"], "email": me["email"]}
        assert (entry["subject"], entry["apiKeyId"], entry["apiKeyName"]) == (None, None, None)
        assert entry["address"] == "127.0.0.1"
        assert entry["workspaceId"] == owner.ids["Workspace"]
        assert entry["workspace"] == {"id": owner.ids["Workspace"], "viewerRole": "OWNER"}
    assert (changed["objectType"], changed["objectId"]) == ("Bot", bot)
    assert changed["details"] == [{"name": "fields", "values": ["greeting"]}]
    assert (key_made["objectType"], key_made["objectId"]) == ("ApiKey", key_id)
    assert key_made["details"] == [
        {"name": "isForOneBot", "values": ["false"]},
        {"name": "isPublic", "values": ["false"]},
        {"name": "scopes", "values": ["READ"]},
    ]


async def test_what_was_destroyed_is_found_by_its_id(visitor: GraphQLClient) -> None:
    owner = await settled(visitor)
    replace_text = """mutation ($id: ID!) { replaceTextDocument(input: {id: $id, text: "Nothing is wound any more."}) {
      __typename ... on Document { id } } }"""
    assert (await owner.user.run(replace_text, id=owner.ids["Document"]))["__typename"] == "Document"
    (replaced,) = await entries(owner.user, object=owner.ids["Document"])
    assert (replaced["act"], replaced["details"]) == ("DOCUMENT_REPLACED", [{"name": "version", "values": ["2"]}])
    delete = "mutation ($id: ID!) { deleteDocument(id: $id) { __typename } }"
    await owner.user.run(delete, id=owner.ids["Document"])
    delete = "mutation ($id: ID!) { deleteConversation(id: $id) { __typename } }"
    await owner.user.run(delete, id=owner.ids["Conversation"])
    await owner.user.run("mutation ($id: ID!) { deleteBot(id: $id) { __typename } }", id=owner.ids["Bot"])

    for kind in ("Document", "Conversation", "Bot"):
        found = await entries(owner.user, object=owner.ids[kind])
        assert found[0]["act"] == f"{kind.upper()}_DELETED"
        assert {entry["objectId"] for entry in found} == {owner.ids[kind]}
    assert await entries(owner.user, object=owner.ids["Message"]) == []


async def test_acts_of_a_key_name_the_key_and_its_maker(visitor: GraphQLClient) -> None:
    owner = await settled(visitor)
    key, key_id = await made_key(owner, "ADMIN")
    await key.run("mutation ($id: ID!) { deleteBot(id: $id) { __typename } }", id=owner.ids["Bot"])

    (deleted,) = await entries(owner.user, acts=["BOT_DELETED"])

    assert (deleted["apiKeyId"], deleted["apiKeyName"]) == (key_id, "Reader")
    assert deleted["actor"]["userId"] == owner.ids["User"]


async def test_a_key_reads_the_log_without_addresses_of_people(visitor: GraphQLClient) -> None:
    owner = await settled(visitor)
    key, _ = await made_key(owner, "ADMIN")
    query = "{ auditLog { nodes { act actor { name userId } workspace { id } } } }"
    assert {node["actor"]["userId"] for node in (await key.run(query))["nodes"]} == {owner.ids["User"]}
    with pytest.raises(Refused) as refused:
        await key.run("{ auditLog { nodes { actor { email } } } }")
    assert refused.value.codes == ["FORBIDDEN"]
    one = "query ($id: ID!) { node(id: $id) { ... on AuditEntry { id } } }"
    assert await key.run(one, id=owner.ids["AuditEntry"]) == {"id": owner.ids["AuditEntry"]}


async def test_other_keys_read_nothing_of_it(visitor: GraphQLClient) -> None:
    owner = await settled(visitor)
    limited, _ = await made_key(owner, "ADMIN", bot=owner.ids["Bot"])
    lesser, _ = await made_key(owner, "READ", "CHAT", "INGEST")
    for key in (limited, lesser):
        for query in ("{ auditLog { totalCount } }", "query ($id: ID!) { node(id: $id) { id } }"):
            answer = await key.answer(query, {"id": owner.ids["AuditEntry"]})
            assert codes(answer) == ["FORBIDDEN"]
            assert not any((answer.get("data") or {}).values())


async def test_pages_join(visitor: GraphQLClient) -> None:
    owner = await settled(visitor)
    await made_key(owner, "READ")
    whole = [entry["id"] for entry in await entries(owner.user)]
    seen: list[str] = []
    after = None
    while True:
        page = await owner.user.run(LOG, first=2, after=after)
        seen += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == whole
    assert len(whole) >= 3


async def test_an_administrator_reads_of_accounts_and_of_all_workspaces(
    administrator: GraphQLClient, owner: Owner, visitor: GraphQLClient
) -> None:
    seen = await administrator.run(LOG, first=100, actor=owner.ids["User"])
    acts = {node["act"] for node in seen["nodes"]}
    assert acts >= {"ACCOUNT_REGISTERED", "BOT_CREATED", "API_KEY_CREATED"}
    # It is not his workspace: he is told its id, and sees nothing else of it.
    bot_made = next(node for node in seen["nodes"] if node["act"] == "BOT_CREATED")
    assert (bot_made["workspaceId"], bot_made["workspace"]) == (owner.ids["Workspace"], None)
    assert {node["workspaceId"] for node in await entries(administrator, workspace=owner.ids["Workspace"])} == {
        owner.ids["Workspace"]
    }
    with pytest.raises(Refused) as refused:
        await visitor.run(LOG)
    assert refused.value.codes == ["UNAUTHENTICATED"]


async def test_garbage_as_a_time_or_an_act_is_refused_politely(owner: Owner) -> None:
    for arguments in ('since: "yesterday"', 'since: "0001-01-01T00:00:00+14:00"', "acts: [NOTHING]", 'after: "x"'):
        answer = await owner.user.answer(f"{{ auditLog({arguments}) {{ totalCount }} }}")
        assert codes(answer)[0] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"), answer
    for id_ in ("garbage", "1" * 5000):
        assert await entries(owner.user, object=id_) == await entries(owner.user, actor=id_) == []
