"""API keys on the running server, as servers and web pages use them, and as those do who took one from a page."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from tests.graphql.conftest import NOTE, Owner, settled
from tests.graphql.sending import codes
from tests.graphql_client import GraphQLClient, Refused, visiting
from tests.journey.steps import SEND, START, STOP, UPLOAD, ask, joined, new_bot, new_conversation, seen, watched
from tests.server_process import Server, serving

SHOP, ELSEWHERE = "https://shop.example", "https://elsewhere.example"
CREATE = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { __typename
  ... on ApiKeyCreated { secret apiKey { id name prefix scopes allowedOrigins dailyTokenBudget tokensUsedToday createdAt
    expiresAt lastUsedAt revokedAt bot { id } workspace { id } createdBy { userId email } } }
  ... on InvalidInputProblem { message issues { path message } } ... on Problem { message } } }"""
REVOKE = """mutation ($id: ID!) { revokeApiKey(id: $id) { __typename ... on ApiKey { id revokedAt }
  ... on Problem { message } } }"""
LIST = """query ($first: Int, $after: String) { apiKeys(first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } nodes { id name prefix revokedAt lastUsedAt tokensUsedToday } } }"""
CONVERSATION = "query ($id: ID!) { conversation(id: $id) { id messages { nodes { role text } } } }"
DELETE = "mutation ($id: ID!) { deleteConversation(id: $id) { __typename ... on Problem { message } } }"
SEND_AFTER = """mutation ($conversation: ID!, $parent: ID!) {
  sendMessage(input: {conversationId: $conversation, parentId: $parent, text: "And then?"}) {
    __typename ... on Problem { message } } }"""
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query ($id: ID!) { nodes(ids: [$id]) { __typename id } }"
# What of a running answer both kinds of keys may select.
WATCH = "subscription ($id: ID!) { answerEvents(messageId: $id) { __typename ... on TextDelta { sequence text } } }"


@dataclass(frozen=True)
class Shop:
    """A server, somebody who has a bot there, another of his bots, and a key for his shop's web pages."""

    server: Server
    visitor: GraphQLClient
    owner: Owner
    other_bot: str
    key_id: str
    guest: GraphQLClient

    @property
    def bot(self) -> str:
        return self.owner.ids["Bot"]

    async def key(self, *scopes: str, **more: Any) -> GraphQLClient:
        """Return who holds a new key."""
        made = await create(self.owner.user, scopes=list(scopes), **more)
        assert made["__typename"] == "ApiKeyCreated", made
        origins = more.get("allowedOrigins", [None])
        return replace(self.visitor, token=made["secret"], origin=origins[0])


async def create(user: GraphQLClient, **more: Any) -> Any:
    return await user.run(CREATE, input={"name": "Test", "scopes": ["CHAT"], **more})


def unknown(kind: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{uuid4()}".encode()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Shop, None]:
    data_dir = tmp_path_factory.mktemp("keys") / "data"
    origins = f"{SHOP},{ELSEWHERE}"
    settings = {"KYROCHAT_ALLOWED_ORIGINS": origins, "KYROCHAT_TOOL_HOSTS": "tools.example"}
    async with serving(data_dir, **settings) as server, visiting(server.graphql_url) as visitor:
        owner = await settled(visitor)
        made = await create(owner.user, botId=owner.ids["Bot"], allowedOrigins=[SHOP])
        guest = replace(visitor, token=made["secret"], origin=SHOP)
        yield Shop(server, visitor, owner, await new_bot(owner.user, "Other"), made["apiKey"]["id"], guest)
        assert server.faults() == []


async def test_a_key_is_shown_whole_once(shop: Shop) -> None:
    made = await create(
        shop.owner.user,
        name="  Nightly import ",
        scopes=["READ", "INGEST", "READ"],
        botId=shop.bot,
        expiresInDays=30,
        dailyTokenBudget=1000,
    )
    key, secret = made["apiKey"], made["secret"]
    assert (made["__typename"], key["name"], key["scopes"]) == ("ApiKeyCreated", "Nightly import", ["INGEST", "READ"])
    assert (key["allowedOrigins"], key["dailyTokenBudget"], key["tokensUsedToday"]) == ([], 1000, 0)
    assert (key["bot"], key["workspace"]) == ({"id": shop.bot}, {"id": shop.owner.ids["Workspace"]})
    assert key["createdBy"]["userId"] == shop.owner.ids["User"]
    assert (key["lastUsedAt"], key["revokedAt"]) == (None, None)
    assert secret.startswith(key["prefix"])

    listed = await shop.owner.user.run(LIST, first=1)

    assert listed["nodes"] == [
        {
            "id": key["id"],
            "name": "Nightly import",
            "prefix": key["prefix"],
            "revokedAt": None,
            "lastUsedAt": None,
            "tokensUsedToday": 0,
        }
    ]
    assert secret not in json.dumps(listed)
    assert secret not in shop.server.log.read_text("utf-8")


async def test_keys_are_paged(shop: Shop) -> None:
    for _ in range(2):
        await create(shop.owner.user)
    found, after = [], None
    while True:
        page = await shop.owner.user.run(LIST, first=1, after=after)
        found += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert len(set(found)) == len(found) == page["totalCount"] >= 3


@pytest.mark.parametrize(
    ("more", "paths"),
    [
        ({"allowedOrigins": ["https://shop.example/cart"]}, ["input.allowedOrigins", "input.botId"]),
        ({"allowedOrigins": ["*"], "scopes": ["ADMIN"]}, ["input.allowedOrigins", "input.scopes", "input.botId"]),
        ({"scopes": []}, ["input.scopes"]),
        ({"expiresAt": "0001-01-01T00:00:00+14:00"}, ["input.expiresAt"]),
        ({"dailyTokenBudget": 0}, ["input.dailyTokenBudget"]),
    ],
)
async def test_bad_keys_are_refused_with_all_that_is_wrong(shop: Shop, more: dict[str, Any], paths: list[str]) -> None:
    refused = await create(shop.owner.user, **more)
    assert refused["__typename"] == "InvalidInputProblem"
    assert [".".join(issue["path"]) for issue in refused["issues"]] == paths


async def test_a_page_chats_over_requests_events_and_a_socket(shop: Shop) -> None:
    answer_id = await ask(shop.guest, shop.bot, "When is the tower clock wound?")
    over_socket = await seen(shop.guest.watch(WATCH, id=answer_id))
    over_events = await seen(shop.guest.stream(WATCH, id=answer_id))
    assert over_socket == over_events
    assert "Mondays" in joined(over_socket)
    response = await shop.guest.post(json.dumps({"query": "{ serverInfo { version } }"}))
    assert response.headers["access-control-allow-origin"] == SHOP


PRIVATE = [
    (CONVERSATION, "Conversation"),
    (NODE, "Conversation"),
    (NODE, "Message"),
    (NODES, "Conversation"),
    (NODES, "Message"),
    (DELETE, "Conversation"),
    (STOP, "Message"),
    (SEND.replace("$text: String!, ", "").replace("text: $text", 'text: "x"'), "Conversation"),
    (START, "Bot"),
]


@pytest.mark.parametrize(("query", "kind"), PRIVATE)
async def test_what_is_not_public_is_for_a_page_like_nothing(shop: Shop, query: str, kind: str) -> None:
    theirs = {
        "Conversation": [shop.owner.ids["Conversation"]],
        "Message": [shop.owner.ids["Message"]],
        "Bot": [shop.other_bot],
    }[kind]
    if kind != "Bot":
        # Public too, of the other bot.
        other = await shop.key("CHAT", botId=shop.other_bot, allowedOrigins=[SHOP])
        conversation = await new_conversation(other, shop.other_bot)
        exchange = await other.run(SEND, conversation=conversation, text="Hello?")
        await seen(other.watch(WATCH, id=exchange["answer"]["id"]))
        theirs.append(conversation if kind == "Conversation" else exchange["answer"]["id"])
    variable = next(name for name in ("conversation", "bot", "id") if f"${name}:" in query)
    nothing = unknown(kind)
    expected = json.dumps(await shop.guest.answer(query, {variable: nothing})).replace(nothing, "<id>")

    for id_ in theirs:
        assert json.dumps(await shop.guest.answer(query, {variable: id_})).replace(id_, "<id>") == expected
    # It is all still there.
    kept = await shop.owner.user.run(CONVERSATION, id=shop.owner.ids["Conversation"])
    assert len(kept["messages"]["nodes"]) == 2


async def test_a_page_watches_no_private_answer(shop: Shop) -> None:
    for id_ in (shop.owner.ids["Message"], unknown("Message")):
        for watching in (shop.guest.watch(WATCH, id=id_), shop.guest.stream(WATCH, id=id_)):
            with pytest.raises(Refused) as refused:
                await seen(watching)
            assert [error["message"] for error in refused.value.errors] == ["There is no such message."]


async def test_a_private_answer_is_no_parent_of_a_public_question(shop: Shop) -> None:
    conversation = await new_conversation(shop.guest, shop.bot)
    answers = [
        await shop.guest.answer(SEND_AFTER, {"conversation": conversation, "parent": parent})
        for parent in (shop.owner.ids["Message"], unknown("Message"))
    ]
    assert answers[0] == answers[1]
    assert answers[0]["data"]["sendMessage"]["__typename"] == "InvalidInputProblem"


async def test_a_page_lists_neither_conversations_nor_other_bots(shop: Shop) -> None:
    await ask(shop.guest, shop.bot, "When is the tower clock wound?")
    with pytest.raises(Refused) as refused:
        await shop.guest.run("query ($id: ID!) { bot(id: $id) { conversations { nodes { id } } } }", id=shop.bot)
    assert refused.value.codes == ["FORBIDDEN"]
    with pytest.raises(Refused) as refused:
        await shop.guest.run("query ($id: ID!) { bot(id: $id) { conversations { totalCount } } }", id=shop.bot)
    assert refused.value.codes == ["FORBIDDEN"]
    assert await shop.guest.run("{ bots { totalCount nodes { id } } }") == {
        "totalCount": 1,
        "nodes": [{"id": shop.bot}],
    }
    for query in ("query ($id: ID!) { bot(id: $id) { id } }", NODE):
        assert await shop.guest.run(query, id=shop.other_bot) is None
    # Nor does their maker find them among his own.
    listed = await shop.owner.user.run(
        "query ($id: ID!) { bot(id: $id) { conversations { totalCount nodes { id } } } }", id=shop.bot
    )
    assert listed["conversations"] == {"totalCount": 1, "nodes": [{"id": shop.owner.ids["Conversation"]}]}


@pytest.mark.parametrize(
    "query",
    [
        "{ bot(id: $id) { instructions } }",
        "{ bot(id: $id) { model } }",
        "{ bot(id: $id) { workspace { name } } }",
        "{ bot(id: $id) { documents { nodes { title } } } }",
        "{ node(id: $id) { ... on Bot { topK } } }",
        '{ search(botId: $id, query: "clock") { text } }',
        "{ document(id: $id) { id } }",
        "{ workspaces { nodes { name } } }",
        "{ me { email } }",
        "{ apiKeys { nodes { prefix } } }",
        "mutation { deleteBot(id: $id) { __typename } }",
        'mutation { updateBot(input: {id: $id, name: "Mine"}) { __typename } }',
        'mutation { addTextDocument(input: {botId: $id, title: "x", text: "x"}) { __typename } }',
        'mutation { createApiKey(input: {name: "x", scopes: [ADMIN]}) { __typename } }',
        "mutation { revokeApiKey(id: $id) { __typename } }",
        "mutation { logout }",
    ],
)
async def test_a_page_gets_nothing_else(shop: Shop, query: str) -> None:
    body = json.dumps({"query": query.replace("$id", json.dumps(shop.bot))})

    strict = await shop.guest.post(body, Accept="application/graphql-response+json")
    lenient = await shop.guest.post(body)

    assert (strict.status_code, lenient.status_code) == (403, 200)
    for response in (strict, lenient):
        assert codes(response.json()) == ["FORBIDDEN"]
        assert "data" not in response.json()


async def test_a_page_uploads_nothing(shop: Shop) -> None:
    with pytest.raises(Refused) as refused:
        await shop.guest.upload(UPLOAD, "note.txt", b"A note of mine.", bot=shop.bot)
    assert refused.value.codes == ["FORBIDDEN"]
    documents = "query ($id: ID!) { bot(id: $id) { documents { nodes { title } } } }"
    titles = [node["title"] for node in (await shop.owner.user.run(documents, id=shop.bot))["documents"]["nodes"]]
    assert "note.txt" not in titles


async def test_the_guard_stands_before_sockets_and_events_too(shop: Shop) -> None:
    answer_id = await ask(shop.guest, shop.bot, "When is the tower clock wound?")
    passages = "subscription ($id: ID!) { answerEvents(messageId: $id) { ... on PassagesFound { passages { text } } } }"
    progress = "subscription ($id: ID!) { documentProgress(id: $id) { status } }"
    for query, id_ in ((passages, answer_id), (progress, shop.owner.ids["Document"])):
        for watching in (shop.guest.watch(query, id=id_), shop.guest.stream(query, id=id_)):
            with pytest.raises(Refused) as refused:
                await seen(watching)
            assert refused.value.codes == ["FORBIDDEN"]
    # A socket carries queries as well.
    with pytest.raises(Refused) as refused:
        await seen(shop.guest.watch("{ me { id } }"))
    assert refused.value.codes == ["FORBIDDEN"]


async def test_a_cited_document_cannot_be_opened_by_its_id(shop: Shop) -> None:
    answer_id = await ask(shop.guest, shop.bot, "When is the tower clock wound?")
    await seen(shop.guest.watch(WATCH, id=answer_id))
    message = await shop.guest.run(
        "query ($id: ID!) { node(id: $id) { ... on Message { citations { quote document { id title } } } } }",
        id=answer_id,
    )
    (cited,) = {citation["document"]["id"] for citation in message["citations"]}
    assert cited == shop.owner.ids["Document"]
    for query in (NODE, NODES):
        # Whether it exists or not: the type is closed.
        for id_ in (cited, unknown("Document"), shop.owner.ids["Workspace"], shop.owner.ids["User"], shop.key_id):
            with pytest.raises(Refused) as refused:
                await shop.guest.run(query, id=id_)
            assert refused.value.codes == ["FORBIDDEN"]


@pytest.mark.parametrize("origin", [None, ELSEWHERE, "null", "https://shop.example.evil.example"])
async def test_a_key_for_a_page_works_on_that_page_only(shop: Shop, origin: str | None) -> None:
    with pytest.raises(Refused) as refused:
        await replace(shop.guest, origin=origin).run("{ bots { totalCount } }")
    assert refused.value.codes == ["FORBIDDEN"]


async def test_a_socket_of_another_page_is_closed(shop: Shop) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        async with replace(shop.guest, origin=ELSEWHERE).socket():
            pass
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


async def test_a_secret_key_does_not_work_on_any_page_but_our_own(shop: Shop) -> None:
    secret = await shop.key("CHAT")
    assert await secret.run("{ bots { totalCount } }") == {"totalCount": 2}
    assert await replace(secret, origin=shop.server.url).run("{ bots { totalCount } }") == {"totalCount": 2}
    for origin in (SHOP, ELSEWHERE, "null"):
        with pytest.raises(Refused) as refused:
            await replace(secret, origin=origin).run("{ bots { totalCount } }")
        assert refused.value.codes == ["FORBIDDEN"]


async def test_a_page_that_shares_the_servers_host_is_a_page_like_others(shop: Shop) -> None:
    """Behind one proxy the shop and KyroChat have one origin; the key must name it all the same."""
    port = shop.server.url.rpartition(":")[2]
    local = await shop.key("CHAT", botId=shop.bot, allowedOrigins=[f"http://localhost:{port}"])
    same = replace(local, url=f"http://localhost:{port}/graphql")
    assert (await same.run("{ bots { totalCount } }")) == {"totalCount": 1}
    with pytest.raises(Refused):
        await replace(shop.guest, origin=f"http://localhost:{port}", url=same.url).run("{ bots { totalCount } }")


async def test_revoking_a_key_ends_what_it_opened_at_once(shop: Shop) -> None:
    made = await create(shop.owner.user, botId=shop.bot, allowedOrigins=[SHOP])
    guest = replace(shop.guest, token=made["secret"])
    async with asyncio.timeout(30), guest.socket() as socket:
        revoked = await shop.owner.user.run(REVOKE, id=made["apiKey"]["id"])
        assert revoked["__typename"] == "ApiKey"

        with pytest.raises(ConnectionClosed):
            await socket.receive()
        assert socket.connection.close_code == 4403
    with pytest.raises(Refused) as refused:
        await guest.run("{ bots { totalCount } }")
    never = replace(guest, token="kck_" + "A" * 43)
    with pytest.raises(Refused) as unknown_key:
        await never.run("{ bots { totalCount } }")
    assert refused.value.errors[0]["message"] == unknown_key.value.errors[0]["message"]
    assert refused.value.codes == ["UNAUTHENTICATED"]
    assert (await shop.owner.user.run(REVOKE, id=made["apiKey"]["id"]))["revokedAt"] == revoked["revokedAt"]


async def test_a_secret_key_sees_its_makers_conversations_and_a_key_for_a_page_does_not(shop: Shop) -> None:
    secret = await shop.key("CHAT")
    assert await secret.run(CONVERSATION, id=shop.owner.ids["Conversation"]) is not None
    public = await new_conversation(shop.guest, shop.bot)
    # Whoever has the id of a public one may read it.
    assert (await secret.run(CONVERSATION, id=public))["id"] == public


async def test_scopes_open_what_they_say(shop: Shop) -> None:
    add = """mutation ($bot: ID!, $text: String!) { addTextDocument(input: {botId: $bot, title: "New", text: $text}) {
      __typename ... on Problem { message } } }"""
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "see": ("query ($id: ID!) { bot(id: $id) { name } }", {"id": shop.bot}),
        "settings": ("query ($id: ID!) { bot(id: $id) { instructions } }", {"id": shop.bot}),
        "read": ("query ($id: ID!) { document(id: $id) { text } }", {"id": shop.owner.ids["Document"]}),
        "search": ('query ($id: ID!) { search(botId: $id, query: "clock") { text } }', {"id": shop.bot}),
        "chat": (START, {"bot": shop.bot}),
        "ingest": (add, {"bot": shop.bot}),
        "manage": ("mutation ($id: ID!) { updateBot(input: {id: $id}) { __typename } }", {"id": shop.bot}),
    }
    opened = {
        "READ": {"see", "settings", "read", "search"},
        "CHAT": {"see", "chat"},
        "INGEST": {"see", "read", "ingest"},
        "ADMIN": set(calls),
    }
    for scope, expected in opened.items():
        holder = await shop.key(scope)
        works = set()
        for name, (query, variables) in calls.items():
            text = {"text": f"{NOTE} {scope}"} if name == "ingest" else {}
            answer = await holder.answer(query, {**variables, **text})
            if codes(answer) != ["FORBIDDEN"]:
                assert "errors" not in answer
                assert "Problem" not in json.dumps(answer)
                works.add(name)
        assert works == expected, scope


async def test_a_keys_budget_ends(shop: Shop) -> None:
    holder = await shop.key("CHAT", botId=shop.bot, dailyTokenBudget=1)
    answer_id = await ask(holder, shop.bot, "When is the tower clock wound?")
    await seen(holder.watch(WATCH, id=answer_id))

    refused = await holder.run(SEND, conversation=await new_conversation(holder, shop.bot), text="And on Tuesdays?")

    assert refused["__typename"] == "QuotaExceededProblem"
    assert "midnight" in refused["message"]
    (used,) = [
        node["tokensUsedToday"]
        for node in (await shop.owner.user.run(LIST, first=100))["nodes"]
        if str(holder.token).startswith(node["prefix"])
    ]
    usage = "query ($id: ID!) { node(id: $id) { ... on Message { usage { promptTokens completionTokens } } } }"
    counted = (await holder.run(usage, id=answer_id))["usage"]
    assert used == counted["promptTokens"] + counted["completionTokens"]
    # Others are not touched by it.
    assert await watched(shop.owner.user, await ask(shop.owner.user, shop.bot, "When is the tower clock wound?"))


async def test_the_log_has_no_secrets(shop: Shop) -> None:
    """Runs after all others; alone it must hold as well."""
    await shop.guest.run("{ bots { totalCount } }")
    text = shop.server.log.read_text("utf-8")
    assert "kck_" not in text
