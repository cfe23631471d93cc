"""One server for all tests of the API, and two users who know nothing of each other."""

import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field, replace

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
REFRESH = """mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) {
  ... on Session { accessToken refreshToken } } }"""
# A third of what an access token lasts; the tests of one process may take longer than that.
RENEWED_AFTER_S = 300.0
NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter."


@dataclass(frozen=True)
class Owner:
    """A user with one object of each kind; `ids` are theirs, by type."""

    user: GraphQLClient
    ids: dict[str, str]


@dataclass
class SignedIn:
    """Somebody who is there for all tests, and signed in."""

    user: GraphQLClient
    since: float = field(default_factory=time.monotonic)

    async def now(self) -> GraphQLClient:
        """Return the user with a token that lasts for a test."""
        if time.monotonic() - self.since > RENEWED_AFTER_S:
            session = await self.user.nobody().run(REFRESH, token=self.user.refresh_token)
            self.user = replace(self.user, token=session["accessToken"], refresh_token=session["refreshToken"])
            self.since = time.monotonic()
        return self.user


@pytest.fixture(scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[Server, SignedIn], None]:
    """The server, and the one who came first."""
    async with (
        serving(tmp_path_factory.mktemp("api") / "data", KYROCHAT_TOOL_HOSTS="tools.example") as server,
        visiting(server.graphql_url) as client,
    ):
        yield server, SignedIn(await register(client))


@pytest.fixture(scope="session")
def server(served: tuple[Server, SignedIn]) -> Server:
    return served[0]


@pytest.fixture
async def administrator(served: tuple[Server, SignedIn]) -> GraphQLClient:
    """The first one administers the server, and can do more than the others, whose tests these are."""
    return await served[1].now()


@pytest.fixture(scope="session")
def visitor(served: tuple[Server, SignedIn]) -> GraphQLClient:
    return served[1].user.nobody()


@pytest.fixture
def no_faults(server: Server) -> Generator[None, None, None]:
    """Nothing that a test sends may show up in the server's log as a bug."""
    before = server.faults()
    yield
    assert server.faults() == before


@pytest.fixture(scope="session")
async def two_owners(visitor: GraphQLClient) -> tuple[tuple[Owner, SignedIn], tuple[Owner, SignedIn]]:
    first, second = await settled(visitor), await settled(visitor)
    return (first, SignedIn(first.user)), (second, SignedIn(second.user))


@pytest.fixture
async def owner(two_owners: tuple[tuple[Owner, SignedIn], ...]) -> Owner:
    settled_once, signed_in = two_owners[0]
    return replace(settled_once, user=await signed_in.now())


@pytest.fixture
async def stranger(two_owners: tuple[tuple[Owner, SignedIn], ...]) -> Owner:
    settled_once, signed_in = two_owners[1]
    return replace(settled_once, user=await signed_in.now())


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
