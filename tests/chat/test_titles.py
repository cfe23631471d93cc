"""Titles: the start of the question at once, a model's words soon after, and the user's for good."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.accounts.api_keys import ApiKeyService, NewKey
from kyrochat.accounts.viewer import KeyLimits
from kyrochat.chat.conversations import ConversationService
from kyrochat.chat.service import ChatService
from kyrochat.chat.title_writer import TASK, TitleWriter
from kyrochat.chat.titles import DERIVED_TITLE_CHARS, tidied_title
from kyrochat.db.models import Conversation
from kyrochat.db.states import ApiKeyScope
from kyrochat.errors import InvalidInput, NotFound, ProviderUnavailable
from tests.chat.scene import Chat
from tests.chat.scripted_model import Pause, Script, ScriptedModel
from tests.factories import make_viewer

CHAT = frozenset({ApiKeyScope.CHAT})


@pytest.fixture
async def namer() -> ScriptedModel:
    """What writes the titles; the answers come from another one."""
    return ScriptedModel(['Title: "Eggs in a hive."\n', "And more of it"])


@pytest.fixture
async def titles(chat: Chat, namer: ScriptedModel) -> AsyncGenerator[TitleWriter, None]:
    chat.model.script = ["Well."]
    async with TitleWriter(chat.database, namer, timeout_s=5, head_start_s=0).alive() as writer:
        yield writer


@pytest.fixture
def service(chat: Chat, titles: TitleWriter) -> ChatService:
    return replace(chat.a.service, titles=titles)


async def _asked(chat: Chat, service: ChatService, conversation_id: UUID, question: str) -> None:
    await chat.watch((await service.send(chat.viewer, conversation_id, question)).answer.id)


async def _conversation(chat: Chat, conversation_id: UUID) -> Conversation:
    (found,) = await chat.a.service.conversations(chat.viewer, [conversation_id])
    return found


async def test_a_model_names_a_conversation_after_its_first_question(
    chat: Chat, service: ChatService, titles: TitleWriter, namer: ScriptedModel
) -> None:
    conversation_id = await chat.conversation()
    await _asked(chat, service, conversation_id, "How many eggs does the queen lay?")
    await titles.settled()
    await _asked(chat, service, conversation_id, "And the workers?")
    await titles.settled()

    assert (await _conversation(chat, conversation_id)).title == "Eggs in a hive"
    (prompt,) = namer.prompts
    assert (prompt.task, prompt.question, prompt.passages) == (TASK, "How many eggs does the queen lay?", ())
    assert namer.open_streams == 0
    assert len(chat.model.prompts) == 2


@pytest.mark.parametrize(
    "script", [[ProviderUnavailable("It is down.")], [], ['"..."'], [RuntimeError("a bug")], ["x" * 50_000]]
)
async def test_whatever_the_model_does_there_is_a_title(
    chat: Chat, service: ChatService, titles: TitleWriter, namer: ScriptedModel, script: Script
) -> None:
    namer.script = script
    conversation_id = await chat.conversation()

    await _asked(chat, service, conversation_id, "How many eggs?")
    await titles.settled()

    title = (await _conversation(chat, conversation_id)).title
    assert title == ("x" * DERIVED_TITLE_CHARS + " …" if script == ["x" * 50_000] else "How many eggs?")
    assert namer.open_streams == 0


async def test_what_the_user_calls_it_stays(
    chat: Chat, service: ChatService, titles: TitleWriter, namer: ScriptedModel
) -> None:
    pause = Pause()
    namer.script = [pause, "Eggs"]
    conversations, keeper = [], ConversationService(chat.database)
    conversation_id = await chat.conversation()
    await _asked(chat, service, conversation_id, "How many eggs?")
    await pause.reached.wait()
    before = await _conversation(chat, conversation_id)

    renamed = await keeper.rename(chat.viewer, conversation_id, "  Mine ")
    pause.release()
    await titles.settled()

    assert (renamed.title, renamed.updated_at, renamed.recency) == ("Mine", before.updated_at, before.recency)
    conversations.append(await _conversation(chat, conversation_id))
    # One that had a title when it began needs none either.
    named = await service.start(chat.viewer, chat.bot.id, "Named")
    await _asked(chat, service, named.id, "How many eggs?")
    await titles.settled()
    conversations.append(await _conversation(chat, named.id))
    assert [each.title for each in conversations] == ["Mine", "Named"]
    assert len(namer.prompts) == 1


async def test_titles_are_not_written_when_many_are_and_end_with_the_process(
    chat: Chat, namer: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kyrochat.chat.title_writer.MAX_AT_ONCE", 1)
    pause = Pause()
    namer.script = [pause, "Eggs"]
    first, second = [await _conversation(chat, await chat.conversation()) for _ in range(2)]

    async with TitleWriter(chat.database, namer).alive() as writer:
        writer.begin(first, chat.bot, "One?")
        writer.begin(second, chat.bot, "Two?")
        await pause.reached.wait()

    assert [prompt.question for prompt in namer.prompts] == ["One?"]
    assert namer.open_streams == 0
    assert (await _conversation(chat, first.id)).title == ""


async def test_who_asks_through_a_key_pays_for_no_title(
    chat: Chat, service: ChatService, titles: TitleWriter, namer: ScriptedModel
) -> None:
    made, _ = await ApiKeyService(chat.database, chat.a.changes).create(chat.viewer, None, NewKey("Key", CHAT))
    key = replace(chat.viewer, key=KeyLimits(made.id, CHAT))
    conversation = await service.start(key, chat.bot.id, None)

    exchange = await service.send(key, conversation.id, "How many eggs?")
    await chat.watch(exchange.answer.id)
    await titles.settled()

    assert (await _conversation(chat, conversation.id)).title == "How many eggs?"
    assert namer.prompts == []


async def test_a_title_is_for_its_owner_to_give(chat: Chat) -> None:
    keeper, conversation_id = ConversationService(chat.database), await chat.conversation()
    stranger = await make_viewer(chat.database, "eve@example.com")

    with pytest.raises(NotFound):
        await keeper.rename(stranger, conversation_id, "Hers")
    for wrong in ("", "  ", "x" * 201, "nul \x00"):
        with pytest.raises(InvalidInput):
            await keeper.rename(chat.viewer, conversation_id, wrong)
    assert (await _conversation(chat, conversation_id)).title == ""


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Eggs in a hive", "Eggs in a hive"),
        ("  **Eggs in a hive**\n\nThis is a title.", "Eggs in a hive"),
        ("\n„Die Königin“.", "Die Königin"),
        ("Title: Eggs", "Eggs"),
        ("# Eggs", "Eggs"),
        ("What is C++?", "What is C++?"),
        ("", ""),
        ("\x00\x07\ud800", ""),
    ],
)
def test_what_is_around_a_title_is_no_part_of_it(written: str, title: str) -> None:
    assert tidied_title(written) == title


@given(st.text())
def test_a_title_is_a_line_that_can_be_stored(written: str) -> None:
    title = tidied_title(written)
    assert len(title.splitlines()) <= 1
    assert len(title) <= DERIVED_TITLE_CHARS + 2
    assert "\x00" not in title
    assert title.encode().decode() == title
