"""A conversation as a file: Markdown for people, JSON for programs."""

import json
from typing import Any
from uuid import uuid4

import pytest
from markdown_it import MarkdownIt

from kyrochat.chat.conversations import ConversationService, ExportFormat, TooLongToExport
from kyrochat.chat.written_out import file_name, markdown_of
from kyrochat.db.models import Citation, Conversation, Message
from kyrochat.db.states import MessageRole, MessageStatus
from tests.chat.scene import Chat
from tests.factories import make_viewer

READER = MarkdownIt("commonmark", {"html": True})


def _answer(text: str, status: MessageStatus = MessageStatus.COMPLETED) -> Message:
    return Message(position=2, role=MessageRole.ASSISTANT, status=status, text=text)


def _quote(message: Message, number: int, quote: str, page: int | None = None) -> Citation:
    where: dict[str, Any] = {"document_title": "The  Handbook", "document_version": 1, "start": 0, "end": len(quote)}
    return Citation(message_id=message.id, number=number, quote=quote, page=page, **where)


async def test_markdown_has_the_questions_quoted_and_citations_as_footnotes_counted_throughout(chat: Chat) -> None:
    conversation = await chat.a.service.start(chat.viewer, chat.bot.id, "Bees\nand more")
    first, second = _answer("Many [1]. Really [2][1], not [7] nor [x]."), _answer("Half [1]", MessageStatus.STOPPED)
    messages = [
        Message(position=1, role=MessageRole.USER, text="How many?\n\n# And why?"),
        first,
        Message(position=3, role=MessageRole.USER, text="More?"),
        second,
    ]
    quotes = {
        first.id: [_quote(first, 1, "Up to\n2,000."), _quote(first, 2, "Sure.", page=3)],
        second.id: [_quote(second, 1, "Again.")],
    }

    written = markdown_of(conversation, "Librarian", messages, quotes)

    day = f"{conversation.created_at:%Y-%m-%d}"
    assert written == (
        f"# Bees and more\n\nWith Librarian, {day}.\n\n"
        "> How many?\n>\n> # And why?\n\n"
        "Many [^1]. Really [^2][^1], not [7] nor [x].\n\n"
        "> More?\n\n"
        "Half [^3]\n\n*This answer was stopped.*\n\n"
        "[^1]: “Up to 2,000.” — The Handbook\n"
        "[^2]: “Sure.” — The Handbook, page 3\n"
        "[^3]: “Again.” — The Handbook\n"
    )


async def test_brackets_that_are_no_markers_stay_as_they_are(chat: Chat) -> None:
    conversation = await chat.a.service.start(chat.viewer, chat.bot.id, "Programs")
    text = "Sure [1]. `a[1]` and x\\[1] = 3, ``b ` [1]``[1]\n\n```c\nd[1]\n```\n- e [1]\n\n  ~~~\n  f[1]\n  ~~~\n"
    answer = _answer(text)

    written = markdown_of(conversation, "Librarian", [answer], {answer.id: [_quote(answer, 1, "Sure.")]})

    assert (
        "Sure [^1]. `a[1]` and x\\[1] = 3, ``b ` [1]``[^1]\n\n```c\nd[1]\n```\n- e [^1]\n\n  ~~~\n  f[1]\n  ~~~\n"
    ) in written


async def test_footnotes_that_somebody_wrote_do_not_lead_to_what_others_are_borne_out_by(chat: Chat) -> None:
    conversation = await chat.a.service.start(chat.viewer, chat.bot.id, "Notes")
    question = Message(position=1, role=MessageRole.USER, text="What is [^1]?\n\nAnd `[^1]`?")
    answer = _answer("Sure [1]. Made up [^1], `[^1]` and \\[^1].\n\n```\n[^1]\n```")

    written = markdown_of(conversation, "Librarian", [question, answer], {answer.id: [_quote(answer, 1, "Sure.")]})

    assert "> What is \\[^1]?\n>\n> And `[^1]`?\n" in written
    assert "Sure [^1]. Made up \\[^1], `[^1]` and \\[^1].\n\n```\n[^1]\n```\n" in written


async def test_what_is_no_markdown_is_written_out_as_what_it_says(chat: Chat) -> None:
    told = "![a](http://evil.example) <b>*c*</b> `d` &amp; e\\f_g_ [^1]"
    conversation = await chat.a.service.start(chat.viewer, chat.bot.id, told)
    answer = _answer("Sure [1].")
    quote = _quote(answer, 1, told)
    quote.document_title = told

    written = markdown_of(conversation, told, [answer], {answer.id: [quote]})

    title, *_, notes = READER.parse(written.replace("[^1]: ", "Note: "))[1::3]
    for found in (title, notes):
        assert {token.type for token in found.children or []} == {"text"}
        assert told in "".join(token.content for token in found.children or [])


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Bees & more?", "Bees-more.md"),
        ("../../etc/passwd", "etc-passwd.md"),
        ("", "conversation.md"),
        ("???", "conversation.md"),
        ("Über Straßen", "Über-Straßen.md"),
        ("x" * 200, "x" * 60 + ".md"),
    ],
)
def test_a_files_name_is_one_everywhere(title: str, name: str) -> None:
    assert file_name(title, ".md") == name


async def test_a_conversation_is_written_out_with_all_branches_or_the_active_one(chat: Chat) -> None:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    answer, _ = await chat.answer("How many eggs?")
    assert answer.parent_id is not None
    edited = await chat.a.service.edit(chat.viewer, answer.parent_id, "How many eggs a day?")
    await chat.watch(edited.answer.id)
    keeper = ConversationService(chat.database)

    everything = await keeper.export(chat.viewer, answer.conversation_id, ExportFormat.JSON)
    shown = await keeper.export(chat.viewer, answer.conversation_id, ExportFormat.MARKDOWN)

    assert everything is not None
    assert shown is not None
    assert (everything.file_name, everything.media_type) == ("How-many-eggs.json", "application/json")
    content = json.loads(everything.text)
    assert content["conversation"]["activeLeafId"] == str(edited.answer.id)
    assert content["conversation"]["botName"] == chat.bot.name
    assert [(each["role"], each["parentId"]) for each in content["messages"]] == [
        ("USER", None),
        ("ASSISTANT", str(answer.parent_id)),
        ("USER", None),
        ("ASSISTANT", str(edited.question.id)),
    ]
    (quote,) = content["messages"][1]["citations"]
    assert (quote["number"], quote["documentId"]) == (1, str(chat.document.id))
    assert (shown.file_name, shown.media_type) == ("How-many-eggs.md", "text/markdown")
    assert "> How many eggs a day?\n\nThe queen lays 2,000 eggs a day [^1]." in shown.text
    assert "> How many eggs?\n" not in shown.text


async def test_what_is_not_ones_own_or_too_long_is_not_written_out(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    chat.model.script = ["Well."]
    answer, _ = await chat.answer()
    keeper, stranger = ConversationService(chat.database), await make_viewer(chat.database, "eve@example.com")
    for format in ExportFormat:
        assert await keeper.export(stranger, answer.conversation_id, format) is None
        assert await keeper.export(chat.viewer, uuid4(), format) is None

    for limit in ("MAX_EXPORT_MESSAGES", "MAX_EXPORT_CHARS"):
        with monkeypatch.context() as patched:
            patched.setattr(f"kyrochat.chat.conversations.{limit}", 1)
            with pytest.raises(TooLongToExport, match="exportAccount"):
                await keeper.export(chat.viewer, answer.conversation_id, ExportFormat.JSON)
    assert await keeper.export(chat.viewer, answer.conversation_id, ExportFormat.JSON) is not None
    empty = await chat.a.service.start(chat.viewer, chat.bot.id, None)
    assert isinstance(empty, Conversation)
    assert await keeper.export(chat.viewer, empty.id, ExportFormat.MARKDOWN) is not None
