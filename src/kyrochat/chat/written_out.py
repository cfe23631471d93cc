"""A conversation as a file: Markdown to read, with citations as footnotes, or JSON with all that there is of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts.zip_stream import as_json
from kyrochat.chat.cleaning.fences import Lines
from kyrochat.chat.export import citation_fields, conversation_fields, message_fields
from kyrochat.db.models import Citation, Conversation, Message
from kyrochat.db.states import MessageRole, MessageStatus

# Escaped signs and code between backticks come first: what looks like a marker there is none. A model may write
# footnotes of its own, which must not lead to what another sentence is borne out by.
_MARKER = re.compile(r"\\.|(?P<ticks>`++).*?(?<!`)(?P=ticks)(?!`)|\[(?P<number>\d{1,3})\]|(?P<footnote>\[\^)")
_MARKDOWN = re.compile(r"[\\`*_\[\]<&]")
_NOT_IN_NAMES = re.compile(r"[^\w-]+")
MAX_NAME_CHARS = 60
_CUT_SHORT = {
    MessageStatus.STREAMING: "This answer is still being written.",
    MessageStatus.STOPPED: "This answer was stopped.",
    MessageStatus.INTERRUPTED: "This answer was interrupted.",
    MessageStatus.FAILED: "This answer failed.",
}


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """A file's name, its media type and its text."""

    file_name: str
    media_type: str
    text: str


Citations = Mapping[UUID, Sequence[Citation]]


def file_name(title: str, ending: str) -> str:
    """Return a name that every file system takes."""
    return (_NOT_IN_NAMES.sub("-", title).strip("-")[:MAX_NAME_CHARS] or "conversation") + ending


def json_of(conversation: Conversation, bot_name: str, messages: Sequence[Message], citations: Citations) -> str:
    """Return a conversation with these messages as JSON; `parentId` says how they hang together."""
    content = {
        "conversation": {**conversation_fields(conversation), "botName": bot_name},
        "messages": [
            {**message_fields(each), "citations": [citation_fields(quote) for quote in citations.get(each.id, ())]}
            for each in messages
        ],
    }
    return as_json(content).decode()


def markdown_of(conversation: Conversation, bot_name: str, messages: Sequence[Message], citations: Citations) -> str:
    """Return a branch as Markdown: questions are quoted, markers in answers become footnotes, counted throughout."""
    title, day = _line(conversation.title) or "Conversation", f"{conversation.created_at:%Y-%m-%d}"
    parts = [f"# {title}", f"With {_line(bot_name)}, {day}."]
    notes: list[str] = []
    for message in messages:
        if message.role is MessageRole.USER:
            question = _with_footnotes(message.text, (), first=0)
            parts.append("\n".join(f"> {line}".rstrip() for line in question.splitlines()))
            continue
        quotes = citations.get(message.id, ())
        parts.append(_with_footnotes(message.text, quotes, first=len(notes) + 1))
        notes += _footnotes(quotes, first=len(notes) + 1)
        if message.status in _CUT_SHORT:
            parts.append(f"*{_CUT_SHORT[message.status]}*")
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def _with_footnotes(text: str, quotes: Sequence[Citation], *, first: int) -> str:
    numbers = {quote.number: first + place for place, quote in enumerate(quotes)}

    def footnote(found: re.Match[str]) -> str:
        if found["footnote"]:
            return "\\[^"
        number = numbers.get(int(found["number"])) if found["number"] else None
        return found[0] if number is None else f"[^{number}]"

    lines = Lines()
    return "\n".join(line if lines.is_code(line) else _MARKER.sub(footnote, line) for line in text.rstrip().split("\n"))


def _footnotes(quotes: Sequence[Citation], *, first: int) -> Iterator[str]:
    for number, quote in enumerate(quotes, first):
        page = "" if quote.page is None else f", page {quote.page}"
        yield f"[^{number}]: “{_line(quote.quote)}” — {_line(quote.document_title)}{page}"


def _line(text: str) -> str:
    """Return a plain text as one line that says the same in Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))
