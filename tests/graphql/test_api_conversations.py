"""Conversations over the API, answered by a model that waits where it is told to."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event

from kyrochat.app import KyroApp
from kyrochat.db.access import DatabaseAccess
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.retrieval.providers import Providers
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings
from tests.access.asgi import lifespan, post
from tests.chat.scripted_model import Pause, ScriptedModel

REGISTER = """mutation { register(input: {email: "ada@example.com", password: "correct horse battery staple"}) {
  ... on Session { accessToken } } }"""
BOT = 'mutation { createBot(input: {name: "Bot"}) { ... on Bot { id } } }'
START = "mutation ($bot: ID!) { startConversation(input: {botId: $bot}) { ... on Conversation { id } } }"
EXCHANGE = """{ __typename ... on Problem { message } ... on ConflictProblem { answerInProgress }
  ... on InvalidInputProblem { issues { path } } ... on Exchange { question { id } answer { id } } }"""
SEND = f"""mutation ($conversation: ID!, $text: String!, $key: String, $parent: ID) {{ sendMessage(input: {{
  conversationId: $conversation, text: $text, idempotencyKey: $key, parentId: $parent}}) {EXCHANGE} }}"""
EDIT = f"""mutation ($id: ID!, $text: String!, $key: String) {{
  editMessage(input: {{messageId: $id, text: $text, idempotencyKey: $key}}) {EXCHANGE} }}"""
AGAIN = f"mutation ($id: ID!, $key: String) {{ regenerateAnswer(messageId: $id, idempotencyKey: $key) {EXCHANGE} }}"
TURN = """mutation ($id: ID!) { selectBranch(messageId: $id) {
  __typename ... on Conversation { id activeLeaf { id } } ... on Problem { message } } }"""
BRANCH = """query ($id: ID!) { node(id: $id) { ... on Message { branch(last: 20) { totalCount nodes { id } } } } }"""
WATCH = """subscription ($id: ID!) { answerEvents(messageId: $id) { __typename
  ... on AnswerCompleted { message { id text } } } }"""
SHOWN = """query ($id: ID!, $every: Boolean = false) { conversation(id: $id) {
  title activeLeaf { id }
  messages(last: 20, everyBranch: $every) { totalCount nodes {
    id text siblings { place count ids } children { count ids } } } } }"""
RATE = """mutation ($id: ID!, $rating: AnswerRating!, $comment: String) {
  rateAnswer(input: {messageId: $id, rating: $rating, comment: $comment}) {
    __typename ... on Message { id feedback { rating comment ratedAt } } ... on Problem { message }
    ... on InvalidInputProblem { issues { path } } } }"""
WITHDRAW = """mutation ($id: ID!) { withdrawRating(messageId: $id) {
  __typename ... on Message { id feedback { rating } } ... on Problem { message } } }"""
RENAME = """mutation ($id: ID!, $title: String!) { renameConversation(input: {id: $id, title: $title}) {
  __typename ... on Conversation { id title } ... on Problem { message }
  ... on InvalidInputProblem { issues { path } } } }"""
HISTORY = """query ($words: String, $bot: ID, $first: Int = 10, $after: String) {
  conversations(query: $words, botId: $bot, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } nodes { id title } } }"""
SHARE = """mutation ($id: ID!, $message: ID, $days: Int) {
  shareConversation(input: {conversationId: $id, messageId: $message, expiresInDays: $days}) {
    __typename ... on ShareCreated { token url share { id title expiresAt } } ... on Problem { message } } }"""
SHARES = "query ($id: ID!) { conversation(id: $id) { shares { id title } } }"
REVOKE = "mutation ($id: ID!) { revokeShare(id: $id) { __typename ... on RevokedShare { id } } }"
SHARED = """query ($token: String!) { sharedConversation(token: $token) { title botName expiresAt
  messages(last: 20) { totalCount nodes { role status text citations { number quote documentTitle page } } } } }"""
EXPORT = "query ($id: ID!) { exportConversation(id: $id, format: MARKDOWN) { fileName mediaType text } }"
SUGGEST = """mutation ($id: ID!) { updateBot(input: {id: $id, suggestsFollowUps: true}) {
  ... on Bot { suggestsFollowUps } } }"""
FEEDBACK = """query ($bot: ID!, $rating: AnswerRating, $since: DateTime) { bot(id: $bot) {
  feedback(rating: $rating, since: $since) { totalCount pageInfo { hasNextPage } nodes {
    rating comment question answer model grounded citations { quote document { id } } } } } }"""


@dataclass(frozen=True)
class Api:
    """Somebody with a bot that a scripted model answers for."""

    app: KyroApp
    model: ScriptedModel
    headers: dict[str, str]
    bot: str

    async def run(self, query: str, **variables: Any) -> Any:
        """Return the value of the only root field."""
        answer = await post(self.app, query, variables, self.headers)
        assert answer.errors == []
        (value,) = answer.results[0]["data"].values()
        return value

    async def conversation(self) -> str:
        return str((await self.run(START, bot=self.bot))["id"])

    async def ask(self, query: str, **variables: Any) -> tuple[str, str]:
        """Return the ids of question and answer, once it has ended."""
        exchange = await self.run(query, **variables)
        assert exchange["__typename"] == "Exchange", exchange
        ends = await post(self.app, WATCH, {"id": exchange["answer"]["id"]}, self.headers, streams=True)
        assert ends.value("answerEvents")["message"]["id"] == exchange["answer"]["id"]
        return exchange["question"]["id"], exchange["answer"]["id"]


@pytest.fixture
async def api(urls: DatabaseUrls, tmp_path: Path) -> AsyncGenerator[Api, None]:
    # What the model is asked is counted here.
    async with opened(urls, tmp_path, titles=Switch.OFF) as one:
        yield one


@asynccontextmanager
async def opened(urls: DatabaseUrls, tmp_path: Path, *, titles: Switch) -> AsyncGenerator[Api, None]:
    model = ScriptedModel(lambda prompt: [f"On {prompt.question}"])
    settings = Settings(
        _env_file=None,
        secret_key=SecretStr("the signing secret of these tests"),
        data_dir=tmp_path,
        workers=0,
        rate_limits=Switch.OFF,
        generated_titles=titles,
    )
    app = KyroApp(settings, DatabaseAccess(urls), provided=Providers(model))
    async with lifespan(app):
        session = (await post(app, REGISTER, {}, {})).value("register")
        headers = {"Authorization": f"Bearer {session['accessToken']}"}
        bot = (await post(app, BOT, {}, headers)).value("createBot")
        yield Api(app, model, headers, bot["id"])


async def test_questions_put_differently_and_other_answers_are_branches_to_turn_to(api: Api) -> None:
    conversation = await api.conversation()
    empty = await api.run(SHOWN, id=conversation)
    assert (empty["activeLeaf"], empty["messages"]["nodes"]) == (None, [])
    one, on_one = await api.ask(SEND, conversation=conversation, text="one")
    two, on_two = await api.ask(SEND, conversation=conversation, text="two")
    edited, on_edited = await api.ask(EDIT, id=one, text="one, differently")
    same, again = await api.ask(AGAIN, id=on_edited)
    assert same == edited

    shown = await api.run(SHOWN, id=conversation)
    assert shown["activeLeaf"] == {"id": again}
    assert shown["messages"]["totalCount"] == 2
    assert shown["messages"]["nodes"] == [
        {
            "id": again,
            "text": "On one, differently",
            "siblings": {"place": 2, "count": 2, "ids": [on_edited, again]},
            "children": {"count": 0, "ids": []},
        },
        {
            "id": edited,
            "text": "one, differently",
            "siblings": {"place": 2, "count": 2, "ids": [one, edited]},
            "children": {"count": 2, "ids": [on_edited, again]},
        },
    ]
    assert await api.run(TURN, id=one) == {
        "__typename": "Conversation",
        "id": conversation,
        "activeLeaf": {"id": on_two},
    }
    assert await _ids(api, conversation) == [on_two, two, on_one, one]
    assert await _ids(api, conversation, every=True) == [again, on_edited, edited, on_two, two, on_one, one]
    for message, nodes in ((again, [again, edited]), (on_one, [on_one, one]), (one, [one])):
        branch = {"totalCount": len(nodes), "nodes": [{"id": each} for each in nodes]}
        assert await api.run(BRANCH, id=message) == {"branch": branch}


async def test_the_siblings_of_a_page_are_loaded_in_one_query(api: Api) -> None:
    conversation = await api.conversation()
    for number in range(4):
        await api.ask(SEND, conversation=conversation, text=f"Question {number}")

    statements = [await statements_of(api, SHOWN.replace("20", str(size)), id=conversation) for size in (2, 8)]

    assert statements[0] == statements[1]


async def test_a_question_meanwhile_is_told_which_answer_to_wait_for(api: Api) -> None:
    conversation = await api.conversation()
    first, on_first = await api.ask(SEND, conversation=conversation, text="one")
    pause = Pause()
    api.model.script = [pause, "Well."]
    running = (await api.run(SEND, conversation=conversation, text="two", key="k"))["answer"]["id"]

    for query, variables in (
        (SEND, {"conversation": conversation, "text": "three"}),
        (SEND, {"conversation": conversation, "text": "three", "parent": on_first}),
        (EDIT, {"id": first, "text": "three"}),
        (AGAIN, {"id": on_first}),
        (AGAIN, {"id": running}),
    ):
        assert await api.run(query, **variables) == {
            "__typename": "ConflictProblem",
            "message": "An answer is being written in this conversation. Wait for its end, or call `stopAnswer`.",
            "answerInProgress": running,
        }
    # The request that began it is no other question.
    same = await api.run(SEND, conversation=conversation, text="two", key="k")
    assert same["answer"]["id"] == running
    # Other conflicts name none.
    assert (await api.run(RATE, id=running, rating="UP"))["__typename"] == "ConflictProblem"
    assert len(api.model.prompts) == 2


async def test_an_answer_is_rated_and_its_bots_owner_reads_that(api: Api) -> None:
    conversation = await api.conversation()
    _, answer = await api.ask(SEND, conversation=conversation, text="one")
    rated = await api.run(RATE, id=answer, rating="DOWN", comment="No.")
    assert rated["feedback"].pop("ratedAt")
    assert rated == {"__typename": "Message", "id": answer, "feedback": {"rating": "DOWN", "comment": "No."}}

    opinion = {
        "rating": "DOWN",
        "comment": "No.",
        "question": "one",
        "answer": "On one",
        "model": "scripted",
        "grounded": False,
        "citations": [],
    }
    page = {"totalCount": 1, "pageInfo": {"hasNextPage": False}, "nodes": [opinion]}
    assert await api.run(FEEDBACK, bot=api.bot) == {"feedback": page}
    assert (await api.run(FEEDBACK, bot=api.bot, rating="UP"))["feedback"]["nodes"] == []
    assert (await api.run(FEEDBACK, bot=api.bot, since="2199-01-01T00:00:00Z"))["feedback"]["totalCount"] == 0
    assert (await api.run(RATE, id=answer, rating="UP", comment="x" * 4_001))["issues"] == [
        {"path": ["input", "comment"]}
    ]
    for _ in range(2):
        assert await api.run(WITHDRAW, id=answer) == {"__typename": "Message", "id": answer, "feedback": None}
    assert (await api.run(FEEDBACK, bot=api.bot))["feedback"]["nodes"] == []


async def test_conversations_are_named_and_found_again(api: Api) -> None:
    conversations = [await api.conversation() for _ in range(3)]
    for number, conversation in enumerate(conversations):
        await api.ask(SEND, conversation=conversation, text=f"Question {number}")
    await api.ask(SEND, conversation=conversations[0], text="Again about the Queen")
    assert await api.run(RENAME, id=conversations[1], title=" The one ") == {
        "__typename": "Conversation",
        "id": conversations[1],
        "title": "The one",
    }
    assert (await api.run(RENAME, id=conversations[1], title=" "))["issues"] == [{"path": ["input", "title"]}]

    page = await api.run(HISTORY, first=2)
    rest = await api.run(HISTORY, first=2, after=page["pageInfo"]["endCursor"])
    assert [each["title"] for each in (*page["nodes"], *rest["nodes"])] == ["Question 0", "Question 2", "The one"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (3, True, False)
    for query, found in (("queen ABOUT", conversations[:1]), ("the one", conversations[1:2]), ("Question", None)):
        ids = [each["id"] for each in (await api.run(HISTORY, words=query))["nodes"]]
        assert ids == (found or [conversations[0], conversations[2], conversations[1]])
    assert (await api.run(HISTORY, bot=api.bot))["totalCount"] == 3
    assert (await api.run(HISTORY, bot="garbage"))["nodes"] == []
    answer = await post(api.app, HISTORY, {"words": "a b c d e f g h i"}, api.headers)
    assert [error["extensions"]["code"] for error in answer.errors] == ["BAD_USER_INPUT"]


async def test_a_model_names_a_conversation_and_suggests_what_to_ask_next(urls: DatabaseUrls, tmp_path: Path) -> None:
    async with opened(urls, tmp_path, titles=Switch.ON) as api:
        api.model.script = lambda prompt: ["Named"] if prompt.task.startswith("You give titles") else ["Well."]
        changed = await api.run(SUGGEST, id=api.bot)
        conversation = await api.conversation()
        _, answer = await api.ask(SEND, conversation=conversation, text="one")
        writer = api.app.runtime.services.chat.titles
        assert writer is not None
        await writer.settled()

        assert changed == {"suggestsFollowUps": True}
        assert (await api.run(SHOWN, id=conversation))["title"] == "Named"
        # No source held it, so there is nothing to follow.
        node = await api.run("query ($id: ID!) { node(id: $id) { ... on Message { followUps } } }", id=answer)
        assert node == {"followUps": []}


async def test_a_conversation_is_shared_with_people_who_have_no_account(api: Api) -> None:
    conversation = await api.conversation()
    await api.ask(SEND, conversation=conversation, text="one")
    created = await api.run(SHARE, id=conversation)
    share, token = created["share"], created["token"]
    assert created["url"].endswith(f"/shared#{token}")
    await api.ask(SEND, conversation=conversation, text="two")

    answer = await post(api.app, SHARED, {"token": token}, {})

    assert answer.errors == []
    assert answer.value("sharedConversation") == {
        "title": "one",
        "botName": "Bot",
        "expiresAt": None,
        "messages": {
            "totalCount": 2,
            "nodes": [
                {"role": "ASSISTANT", "status": "COMPLETED", "text": "On one", "citations": []},
                {"role": "USER", "status": "COMPLETED", "text": "one", "citations": []},
            ],
        },
    }
    assert await api.run(SHARES, id=conversation) == {"shares": [{"id": share["id"], "title": "one"}]}
    node = await api.run("query ($id: ID!) { node(id: $id) { id ... on Share { title } } }", id=share["id"])
    assert node == {"id": share["id"], "title": "one"}
    assert await api.run(REVOKE, id=share["id"]) == {"__typename": "RevokedShare", "id": share["id"]}
    assert (await post(api.app, SHARED, {"token": token}, {})).value("sharedConversation") is None
    assert await api.run(SHARES, id=conversation) == {"shares": []}
    assert (await api.run(REVOKE, id=share["id"]))["__typename"] == "NotFoundProblem"
    assert (await api.run(SHARE, id=await api.conversation()))["__typename"] == "ConflictProblem"


async def test_a_conversation_is_written_out(api: Api) -> None:
    conversation = await api.conversation()
    await api.ask(SEND, conversation=conversation, text="one")

    written = await api.run(EXPORT, id=conversation)

    assert (written["fileName"], written["mediaType"]) == ("one.md", "text/markdown")
    assert written["text"].startswith("# one\n\nWith Bot, ")
    assert written["text"].endswith("> one\n\nOn one\n")
    assert await api.run(EXPORT, id=api.bot) is None


async def test_what_is_not_there_is_told_so(api: Api) -> None:
    question, answer = await api.ask(SEND, conversation=await api.conversation(), text="one")
    for query, variables, what in (
        (AGAIN, {"id": question}, "answer"),
        (AGAIN, {"id": "garbage"}, "answer"),
        (EDIT, {"id": answer, "text": "two"}, "question"),
        (TURN, {"id": api.bot}, "message"),
        (RENAME, {"id": answer, "title": "New"}, "conversation"),
        (RATE, {"id": question, "rating": "UP"}, "answer"),
        (WITHDRAW, {"id": "garbage"}, "answer"),
    ):
        assert await api.run(query, **variables) == {
            "__typename": "NotFoundProblem",
            "message": f"There is no such {what}.",
        }


async def _ids(api: Api, conversation: str, **variables: Any) -> list[str]:
    shown = await api.run(SHOWN, id=conversation, **variables)
    nodes = shown["messages"]["nodes"]
    assert shown["messages"]["totalCount"] == len(nodes)
    return [node["id"] for node in nodes]


async def statements_of(api: Api, query: str, **variables: Any) -> int:
    """Return how many statements a query takes."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    engine = api.app.runtime.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await api.run(query, **variables)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen)
