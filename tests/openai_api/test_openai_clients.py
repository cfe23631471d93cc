"""OpenAI's own client on a running server."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from kyrochat.openai_api.routes import OpenAIRoutes
from tests.fakes.gemini import FakeGemini, running_fake_gemini
from tests.fakes.gemini_steps import Finish, Hang, Text
from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import ADD_TEXT, EXCERPT, new_bot, until_read
from tests.server_process import Server, serving

NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter. Ask the porter for the lamp."
QUESTION: Any = {"role": "user", "content": "When is the tower clock wound?"}
CREATE_KEY = """mutation ($scopes: [ApiKeyScope!]!, $bot: ID, $origins: [String!]) {
  createApiKey(input: {name: "Client", scopes: $scopes, botId: $bot, allowedOrigins: $origins}) {
    ... on ApiKeyCreated { secret } ... on Problem { message } }
}"""
CONVERSATIONS = """query ($bot: ID!) {
  bot(id: $bot) { conversations(first: 50) {
    totalCount nodes { id title messages(first: 50) { nodes { role text } } }
  } }
}"""

DELETE = "mutation ($id: ID!) { deleteConversation(id: $id) { ... on DeletedConversation { id } } }"
STATES = """query ($bot: ID!) {
  bot(id: $bot) { conversations(first: 1) { nodes { messages(first: 5) { nodes { role text status } } } } }
}"""


@dataclass
class Shop:
    """A user with a bot that has read a note, and a client with a key of that user's."""

    server: Server
    user: GraphQLClient
    bot_id: str
    document_id: str
    client: openai.AsyncOpenAI

    async def conversations(self) -> Any:
        return (await self.user.run(CONVERSATIONS, bot=self.bot_id))["conversations"]


def client_of(server: Server, key: str, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, **options)


def answering(gemini: FakeGemini) -> dict[str, str]:
    """Return the settings of a server whose answers this one writes."""
    return {
        "KYROCHAT_GEMINI_API_KEY": gemini.api_key,
        "KYROCHAT_GEMINI_BASE_URL": gemini.url,
        "KYROCHAT_GENERATED_TITLES": "off",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    async with serving(tmp_path_factory.mktemp("openai") / "data") as server:
        yield server
        assert server.faults() == []


@pytest.fixture
async def shop(server: Server) -> AsyncGenerator[Shop, None]:
    async with visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        document = await user.run(ADD_TEXT, bot=bot_id, title="Clock", text=NOTE)
        await until_read(user, document["id"])
        key = await user.run(CREATE_KEY, scopes=["CHAT", "READ"])
        async with client_of(server, key["secret"]) as client:
            yield Shop(server, user, bot_id, document["id"], client)


async def test_bots_are_models(shop: Shop) -> None:
    models = [model async for model in shop.client.models.list()]

    assert [(model.id, model.object, model.owned_by) for model in models] == [(shop.bot_id, "model", "kyrochat")]
    assert (models[0].model_extra or {})["name"] == "Clerk"
    assert (await shop.client.models.retrieve(shop.bot_id)).id == shop.bot_id


async def test_a_whole_answer_has_its_citations(shop: Shop) -> None:
    answer = await shop.client.chat.completions.create(model=shop.bot_id, messages=[QUESTION])

    (choice,) = answer.choices
    assert "Mondays" in (choice.message.content or "")
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    extra: dict[str, Any] = answer.model_extra or {}
    assert extra["kyrochat"]["grounded"] is True
    for citation in extra["citations"]:
        excerpt = await shop.user.run(
            EXCERPT, id=shop.document_id, version=1, start=citation["start"], end=citation["end"]
        )
        assert excerpt["text"] == citation["quote"]
        assert f"[{citation['number']}]" in (choice.message.content or "")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_a_stream_says_the_same_as_the_stored_answer(shop: Shop) -> None:
    stream = await shop.client.chat.completions.create(
        model="clerk",  # a bot's name, whatever its case
        messages=[QUESTION],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    *_, ended, used = chunks
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (ended.choices[0].finish_reason, used.choices) == ("stop", [])
    assert used.usage is not None
    assert len((ended.model_extra or {})["citations"]) >= 1
    found = await shop.conversations()
    (conversation,) = found["nodes"]
    assert [message["text"] for message in conversation["messages"]["nodes"]] == [text, QUESTION["content"]]
    assert (ended.model_extra or {})["kyrochat"]["conversation"] == conversation["id"]


async def test_a_client_that_sends_its_history_goes_on_in_the_same_conversation(shop: Shop) -> None:
    messages: list[Any] = [QUESTION]
    for question in ("Where do the keys hang?", "Whom do I ask for the lamp?"):
        answer = await shop.client.chat.completions.create(model=shop.bot_id, messages=messages)
        spoken = f" {answer.choices[0].message.content}\n"  # clients trim
        messages += [{"role": "assistant", "content": spoken}, {"role": "user", "content": question}]
    await shop.client.chat.completions.create(model=shop.bot_id, messages=messages)

    found = await shop.conversations()
    (conversation,) = found["nodes"]
    asked = [message["text"] for message in conversation["messages"]["nodes"] if message["role"] == "USER"]
    assert asked == [message["content"] for message in reversed(messages) if message["role"] == "user"]


async def test_a_question_put_differently_is_a_branch_and_another_history_another_conversation(shop: Shop) -> None:
    first = await shop.client.chat.completions.create(model=shop.bot_id, messages=[QUESTION])
    told: Any = {"role": "assistant", "content": first.choices[0].message.content}
    for question in ("Where do the keys hang?", "Where are the keys?"):
        messages: list[Any] = [QUESTION, told, {"role": "user", "content": question}]
        await shop.client.chat.completions.create(model=shop.bot_id, messages=messages)
    foreign: list[Any] = [QUESTION, {"role": "assistant", "content": "Never."}, {"role": "user", "content": "Why?"}]
    await shop.client.chat.completions.create(model=shop.bot_id, messages=foreign)

    found = await shop.conversations()
    assert found["totalCount"] == 2
    newest = found["nodes"][0]["messages"]["nodes"]
    assert [message["text"] for message in newest[1:]] == ["Why?", "Never.", QUESTION["content"]]


@pytest.mark.parametrize("told", [[], [QUESTION, {"role": "assistant", "content": "On Mondays."}]])
async def test_of_a_question_that_is_refused_nothing_is_left(shop: Shop, told: list[Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="20,000") as refused:
        await shop.client.chat.completions.create(
            model=shop.bot_id, messages=[*told, {"role": "user", "content": "x" * 20_001}]
        )

    assert refused.value.param == "messages"
    assert (await shop.conversations())["totalCount"] == 0


async def test_a_conversation_of_the_api_goes_on_by_its_id(shop: Shop) -> None:
    first = await shop.client.chat.completions.create(model=shop.bot_id, messages=[QUESTION])
    conversation = (first.model_extra or {})["kyrochat"]["conversation"]

    await shop.client.chat.completions.create(
        model=shop.bot_id,
        messages=[{"role": "user", "content": "Where do the keys hang?"}],
        extra_body={"conversation": conversation},
    )

    found = await shop.conversations()
    assert [(node["id"], len(node["messages"]["nodes"])) for node in found["nodes"]] == [(conversation, 4)]


async def test_ten_at_once_with_the_same_history_are_all_answered(shop: Shop) -> None:
    first = await shop.client.chat.completions.create(model=shop.bot_id, messages=[QUESTION])
    told: Any = {"role": "assistant", "content": first.choices[0].message.content}
    messages: list[Any] = [QUESTION, told, {"role": "user", "content": "Where do the keys hang?"}]

    answers = await asyncio.gather(
        *(shop.client.chat.completions.create(model=shop.bot_id, messages=messages) for _ in range(10))
    )

    assert all("counter" in (answer.choices[0].message.content or "") for answer in answers)


async def test_keys_see_their_own_bots_and_nothing_else(server: Server, shop: Shop) -> None:
    answer = await shop.client.chat.completions.create(model=shop.bot_id, messages=[QUESTION])
    conversation = (answer.model_extra or {})["kyrochat"]["conversation"]
    async with visiting(server.graphql_url) as visitor:
        stranger = await register(visitor)
        key = await stranger.run(CREATE_KEY, scopes=["CHAT", "READ"])
        async with client_of(server, key["secret"]) as client:
            assert [model async for model in client.models.list()] == []
            for model in (shop.bot_id, "no-such-bot", "x" * 10_000, "\0"):
                with pytest.raises(openai.NotFoundError) as missing:
                    await client.chat.completions.create(model=model, messages=[QUESTION])
                assert missing.value.code == "model_not_found"
            mine = await new_bot(stranger, "Mine")
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(
                    model=mine, messages=[QUESTION], extra_body={"conversation": conversation}
                )

    assert (await shop.conversations())["totalCount"] == 1


async def test_who_may_not_chat_is_told_why(server: Server, shop: Shop) -> None:
    reading = await shop.user.run(CREATE_KEY, scopes=["READ"])
    async with client_of(server, reading["secret"]) as client:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await client.chat.completions.create(model=shop.bot_id, messages=[QUESTION])
        assert "CHAT" in refused.value.message
    async with client_of(server, "kyro_wrong") as client:
        with pytest.raises(openai.AuthenticationError) as unknown:
            await client.models.list()
        assert unknown.value.code == "invalid_api_key"


@pytest.mark.parametrize("name", ["\ud800", "\x00", "x" * 10_000, "../../etc/passwd", "Bot:", " "])
async def test_a_name_that_is_none_is_no_bot(server: Server, shop: Shop, name: str) -> None:
    body = json.dumps({"model": name, "messages": [QUESTION]}).encode("utf-8", "surrogatepass")
    headers = {"Authorization": f"Bearer {shop.client.api_key}", "Content-Type": "application/json"}

    async with httpx2.AsyncClient(headers=headers) as http:
        answer = await http.post(server.url + "/v1/chat/completions", content=body)

    assert (answer.status_code, answer.json()["error"]["type"]) in (
        (404, "invalid_request_error"),
        (400, "invalid_request_error"),
    )
    assert server.faults() == []


async def test_visitors_of_a_page_with_the_same_history_do_not_share_a_conversation(server: Server, shop: Shop) -> None:
    origin = "https://shop.example.com"
    public = await shop.user.run(CREATE_KEY, scopes=["CHAT"], bot=shop.bot_id, origins=[origin])
    async with client_of(server, public["secret"], default_headers={"Origin": origin}) as client:
        first = await client.chat.completions.create(model=shop.bot_id, messages=[QUESTION])
        told: Any = {"role": "assistant", "content": first.choices[0].message.content}
        messages: list[Any] = [QUESTION, told, {"role": "user", "content": "Where do the keys hang?"}]
        answers = [await client.chat.completions.create(model=shop.bot_id, messages=messages) for _ in range(2)]

    conversations = [(answer.model_extra or {})["kyrochat"]["conversation"] for answer in (first, *answers)]
    assert len(set(conversations)) == 3


async def test_a_client_that_leaves_stops_its_answer_and_the_text_stays(shop: Shop, tmp_path: Path) -> None:
    long = " ".join(f"The bell number {number} is rung by the sexton on feast days." for number in range(400))
    document = await shop.user.run(ADD_TEXT, bot=shop.bot_id, title="Bells", text=long)
    await until_read(shop.user, document["id"])
    question: Any = {"role": "user", "content": "Which bells are rung by the sexton on feast days?"}
    stream = await shop.client.chat.completions.create(
        model=shop.bot_id,
        messages=[question],
        stream=True,
    )
    first = await anext(stream)
    await stream.close()

    answer: dict[str, str] = {"text": ""}
    async with asyncio.timeout(30):
        while not answer["text"]:
            (conversation,) = (await shop.conversations())["nodes"]
            answer = conversation["messages"]["nodes"][0]
    assert answer["text"].startswith(first.choices[0].delta.content or "?")


async def test_an_answer_that_reached_the_limit_of_its_length_says_so(tmp_path: Path) -> None:
    async with (
        running_fake_gemini() as gemini,
        serving(tmp_path / "data", **answering(gemini)) as server,
        visiting(server.graphql_url) as visitor,
    ):
        user = await register(visitor)
        asked: Any = {"model": await new_bot(user), "messages": [QUESTION]}
        key = await user.run(CREATE_KEY, scopes=["CHAT"])
        async with client_of(server, key["secret"]) as client:
            gemini.script(Text("The clock is wound"), Finish("MAX_TOKENS"))
            whole = await client.chat.completions.create(**asked)
            gemini.script(Text("The clock is wound"), Finish("MAX_TOKENS"))
            stream = await client.chat.completions.create(**asked, stream=True)
            reasons = [choice.finish_reason async for chunk in stream for choice in chunk.choices]

    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("The clock is wound", "length")
    assert [reason for reason in reasons if reason] == ["length"]


async def test_what_a_client_has_seen_survives_a_kill_and_it_can_ask_again(tmp_path: Path) -> None:
    async with running_fake_gemini() as gemini, visiting("http://127.0.0.1/") as visitor:
        settings = {**answering(gemini), "KYROCHAT_ANSWER_LEASE_S": "3"}
        gemini.script(Text("The clock is "), Text("wound on "), Hang())
        seen: list[str] = []
        async with serving(tmp_path / "data", **settings) as server:
            user = await register(visitor.at(server.graphql_url))
            bot_id = await new_bot(user)
            key = await user.run(CREATE_KEY, scopes=["CHAT", "READ"])
            async with client_of(server, key["secret"]) as client:
                stream = await client.chat.completions.create(model=bot_id, messages=[QUESTION], stream=True)
                with pytest.raises((openai.APIError, httpx2.HTTPError)):
                    await _read(stream, server, seen)
        gemini.script(Text("The clock is wound on Mondays."), Finish())
        async with serving(tmp_path / "data", **settings) as server, client_of(server, key["secret"]) as client:
            user = user.at(server.graphql_url)
            async with asyncio.timeout(30):
                while (lost := await _messages(user, bot_id))[-1]["status"] == "STREAMING":
                    await asyncio.sleep(0.1)
            again = await client.chat.completions.create(model=bot_id, messages=[QUESTION])
            both = (await user.run(CONVERSATIONS, bot=bot_id))["conversations"]
            assert server.faults() == []

    assert [message["status"] for message in lost] == ["COMPLETED", "INTERRUPTED"]
    # What a client has seen was stored before.
    assert lost[-1]["text"] == "".join(seen)
    assert again.choices[0].message.content == "The clock is wound on Mondays."
    # It sent its question anew; the first exchange is whole beside it.
    assert both["totalCount"] == 2


async def test_a_stream_whose_conversation_is_deleted_ends_with_an_error(tmp_path: Path) -> None:
    async with running_fake_gemini() as gemini, visiting("http://127.0.0.1/") as visitor:
        settings = {
            "KYROCHAT_GEMINI_API_KEY": gemini.api_key,
            "KYROCHAT_GEMINI_BASE_URL": gemini.url,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        gemini.script(Text("The clock is "), Hang())
        async with serving(tmp_path / "data", **settings) as server:
            user = await register(visitor.at(server.graphql_url))
            bot_id = await new_bot(user)
            key = await user.run(CREATE_KEY, scopes=["CHAT", "READ"])
            async with client_of(server, key["secret"]) as client:
                stream = await client.chat.completions.create(model=bot_id, messages=[QUESTION], stream=True)
                await anext(stream)
                (conversation,) = (await user.run(CONVERSATIONS, bot=bot_id))["conversations"]["nodes"]
                await user.run(DELETE, id=conversation["id"])
                with pytest.raises(openai.APIError, match="There is no such"):
                    async for _ in stream:
                        pass
            assert server.faults() == []


async def test_who_leaves_before_his_question_has_come_in_is_no_fault() -> None:
    pieces: Iterator[Message] = iter(
        [{"type": "http.request", "body": b'{"model"', "more_body": True}, {"type": "http.disconnect"}]
    )
    statuses = []

    async def receive() -> Message:
        return next(pieces)

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    async def anybody(request: object) -> Any:
        del request

    def no_services() -> Any:
        raise AssertionError("Nothing was asked for.")

    app = Starlette(routes=OpenAIRoutes(no_services, anybody).routes())
    headers = [(b"authorization", b"Bearer kck")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": headers}
    await app(scope, receive, send)

    assert statuses[0] == 499


async def _read(stream: Any, server: Server, seen: list[str]) -> None:
    """Read a stream, and kill the server once all is here that its model says."""
    async for chunk in stream:
        seen.append(chunk.choices[0].delta.content or "")
        if "wound on" in "".join(seen):
            await server.kill()


async def _messages(user: GraphQLClient, bot_id: str) -> list[dict[str, str]]:
    found = await user.run(STATES, bot=bot_id)
    (conversation,) = found["conversations"]["nodes"]
    return list(reversed(conversation["messages"]["nodes"]))
