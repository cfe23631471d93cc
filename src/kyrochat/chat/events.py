"""What happens in an answer, as the log keeps it and watchers see it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, assert_never
from uuid import UUID

from kyrochat.db.states import MessageStatus
from kyrochat.retrieval.trace import SearchTrace
from kyrochat.retrieval.types import Passage


@dataclass(frozen=True, slots=True)
class Quote:
    """Citation `number`: characters [start, end) of the document version's text, and they are exactly `quote`."""

    number: int
    document_id: UUID
    document_title: str
    document_version: int
    start: int
    end: int
    quote: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class PassagesFound:
    """The passages that the answer may use, best first.

    The `searches` that found them are stored with them, and beside the log: whoever reads it does not get them.
    """

    passages: tuple[Passage, ...]
    searches: tuple[SearchTrace, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next characters of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class CitationAdded:
    """A quote that the next marker of its number in the text stands for."""

    citation: Quote


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model used a tool: which, with what arguments, and the passages that it had not seen before.

    `problem` says why nothing came of it. The `searches` are kept as those of `PassagesFound` are.
    """

    tool: str
    arguments: Mapping[str, Any]
    passages: tuple[Passage, ...] = ()
    problem: str | None = None
    searches: tuple[SearchTrace, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """The last event. `reason` and `retryable` are set when the status is FAILED."""

    status: MessageStatus
    reason: str | None = None
    retryable: bool = False


AnswerEvent = PassagesFound | TextDelta | CitationAdded | ToolCalled | AnswerEnded


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event with its place in the log: 1, 2, 3 ... without gaps."""

    sequence: int
    event: AnswerEvent


def to_row(event: AnswerEvent) -> tuple[str, dict[str, Any]]:
    """Return an event as kind and JSON."""
    match event:
        case PassagesFound(passages, _):
            return "passages", {"passages": [_plain(asdict(passage)) for passage in passages]}
        case TextDelta(text):
            return "text", {"text": text}
        case CitationAdded(citation):
            return "citation", _plain(asdict(citation))
        case ToolCalled(tool, arguments, passages, problem, _):
            found = [_plain(asdict(passage)) for passage in passages]
            return "tool", {"tool": tool, "arguments": arguments, "passages": found, "problem": problem}
        case AnswerEnded(status, reason, retryable):
            return "end", {"status": status.value, "reason": reason, "retryable": retryable}
        case _:
            assert_never(event)


def from_row(kind: str, data: Mapping[str, Any]) -> AnswerEvent:
    """Return the event that `to_row` made kind and JSON of."""
    match kind:
        case "passages":
            return PassagesFound(tuple(Passage(**_typed(passage)) for passage in data["passages"]))
        case "text":
            return TextDelta(data["text"])
        case "citation":
            return CitationAdded(Quote(**_typed(data)))
        case "tool":
            found = tuple(Passage(**_typed(passage)) for passage in data["passages"])
            return ToolCalled(data["tool"], data["arguments"], found, data["problem"])
        case "end":
            return AnswerEnded(MessageStatus(data["status"]), data["reason"], data["retryable"])
        case _:
            raise ValueError(f"An event of the unknown kind {kind!r} is stored.")


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items()}


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: UUID(value) if name.endswith("_id") else value for name, value in fields.items()}
