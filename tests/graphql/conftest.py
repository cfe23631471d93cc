"""One server for all tests of the API, and two users who know nothing of each other."""

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass

import pytest

from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import (
    ADD_TEXT,
    CRAWL,
    SEND,
    new_bot,
    new_conversation,
    until_crawled,
    until_read,
    watched,
)
from tests.server_process import Server, serving

CREATE_KEY = """mutation {
  createApiKey(input: {name: "Test", scopes: [READ]}) { ... on ApiKeyCreated { apiKey { id } } }
}"""
INVITE = """mutation ($id: ID!) { createInvitation(input: {workspaceId: $id}) {
  ... on InvitationCreated { invitation { id } } } }"""
SHARE = """mutation ($id: ID!) { shareConversation(input: {conversationId: $id}) {
  ... on ShareCreated { share { id } } } }"""
QUESTIONS = """mutation ($bot: ID!) {
  createQuestionSet(input: {botId: $bot, name: "Clock", questions: [{text: "When is the clock wound?"}]}) {
    ... on QuestionSet { id } } }"""
EVALUATE = "mutation ($id: ID!) { startEvaluation(input: {questionSetId: $id}) { ... on Evaluation { id } } }"
SET_TOOL = """mutation ($bot: ID!) { setBotTool(input: {botId: $bot, name: "orders", description: "Orders.",
  url: "https://tools.example/orders", parameters: {type: "object", properties: {}}}) { ... on BotTool { id } } }"""
NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter."


@dataclass(frozen=True)
class Owner:
    """A user with one object of each kind; `ids` are theirs, by type."""

    user: GraphQLClient
    ids: dict[str, str]


@pytest.fixture(scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[Server, GraphQLClient], None]:
    """The server, and the one who came first."""
    async with (
        serving(tmp_path_factory.mktemp("api") / "data", KYROCHAT_TOOL_HOSTS="tools.example") as server,
        visiting(server.graphql_url) as client,
    ):
        yield server, await register(client)


@pytest.fixture(scope="session")
def server(served: tuple[Server, GraphQLClient]) -> Server:
    return served[0]


@pytest.fixture(scope="session")
def administrator(served: tuple[Server, GraphQLClient]) -> GraphQLClient:
    """The first one administers the server, and can do more than the others, whose tests these are."""
    return served[1]


@pytest.fixture(scope="session")
def visitor(administrator: GraphQLClient) -> GraphQLClient:
    return administrator.nobody()


@pytest.fixture
def no_faults(server: Server) -> Generator[None, None, None]:
    """Nothing that a test sends may show up in the server's log as a bug."""
    before = server.faults()
    yield
    assert server.faults() == before


@pytest.fixture(scope="session")
async def owner(visitor: GraphQLClient) -> Owner:
    return await settled(visitor)


@pytest.fixture(scope="session")
async def stranger(visitor: GraphQLClient) -> Owner:
    return await settled(visitor)


async def settled(visitor: GraphQLClient) -> Owner:
    """Return a new user who has a bot that has read a note, and has asked it something."""
    user = await register(visitor)
    bot_id = await new_bot(user)
    document = await user.run(ADD_TEXT, bot=bot_id, title="Clock", text=NOTE)
    await until_read(user, document["id"])
    conversation_id = await new_conversation(user, bot_id)
    exchange = await user.run(SEND, conversation=conversation_id, text="When is the tower clock wound?")
    await watched(user, exchange["answer"]["id"])
    # A crawl that is over at once: this machine is no site.
    crawl = await user.run(CRAWL, bot=bot_id, url="http://127.0.0.1:9/")
    await until_crawled(user, crawl["id"])
    shared = await user.run(SHARE, id=conversation_id)
    question_set = await user.run(QUESTIONS, bot=bot_id)
    evaluation = await user.run(EVALUATE, id=question_set["id"])
    tool = await user.run(SET_TOOL, bot=bot_id)
    workspaces = await user.run("{ workspaces { nodes { id } } }")
    me = await user.run("{ me { id } }")
    key = await user.run(CREATE_KEY)
    workspace_id = workspaces["nodes"][0]["id"]
    invited = await user.run(INVITE, id=workspace_id)
    sessions = await user.run("{ sessions { nodes { id } } }")
    entries = await user.run("{ auditLog(first: 1) { nodes { id } } }")
    ids = {
        "User": me["id"],
        "ActiveSession": sessions["nodes"][0]["id"],
        "Workspace": workspace_id,
        "Invitation": invited["invitation"]["id"],
        "ApiKey": key["apiKey"]["id"],
        "AuditEntry": entries["nodes"][0]["id"],
        "Bot": bot_id,
        "BotTool": tool["id"],
        "Document": document["id"],
        "Crawl": crawl["id"],
        "Conversation": conversation_id,
        "Share": shared["share"]["id"],
        "QuestionSet": question_set["id"],
        "Evaluation": evaluation["id"],
        "Message": exchange["answer"]["id"],
    }
    return Owner(user, ids)
