"""The words that retrieval and answering share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Chunk:
    """Characters [start, end) of a text; `text` is exactly these, `heading` the nearest one above."""

    start: int
    end: int
    text: str
    heading: str | None = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: `indices` ascend, are unique and at least 1; `values` go with them one to one."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieved chunk, or neighbouring ones: characters [start, end) of that version of the document's text.

    `score` is from 0 to 1, higher for better. `chunk_id` is the best chunk's, `ordinal` the first one's place among
    the version's chunks, from 0.
    """

    chunk_id: UUID
    document_id: UUID
    document_title: str
    document_version: int
    start: int
    end: int
    text: str
    score: float
    heading: str | None = None
    page: int | None = None
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier question or answer of the conversation."""

    role: str  # "user" or "assistant"
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may ask for while it answers. `parameters` is the JSON schema of the arguments."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool used. `id` tells it from others of the same answer.

    `arguments` is None when what the model wrote is no JSON object.
    """

    id: str
    name: str
    arguments: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Step:
    """One earlier turn of the model in this very answer: what it asked for, and what came of each call.

    `raw` is what its adapter gave out and wants back unchanged, signatures of its thoughts among that.
    """

    text: str
    calls: tuple[ToolCall, ...]
    results: tuple[str, ...]
    raw: object = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that an answer is made from. Passage number n (from 1) is cited in the answer's text as `[n]`.

    `history_trimmed` is set when the conversation began earlier than `history` does. With a `task` no answer is
    wanted but a few words about the question: the model is told the task in the place of all rules. Without `may_call`
    the tools are there only because they were used: now the model has to answer.
    """

    instructions: str
    passages: tuple[Passage, ...]
    history: tuple[Turn, ...]
    question: str
    model: str = ""
    temperature: float = 0.2
    history_trimmed: bool = False
    task: str = ""
    tools: tuple[Tool, ...] = ()
    steps: tuple[Step, ...] = ()
    may_call: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as its provider counts them."""

    prompt_tokens: int
    completion_tokens: int

    def plus(self, other: "Usage") -> "Usage":
        """Return what both took together."""
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Some characters of an answer, in order."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last item of every model stream.

    `grounded` is None when the model does not say whether the passages held an answer;
    `cut_short` is set when a limit of the provider ended the text. With `calls` the answer goes on: the model waits
    for their results, which the next prompt brings as a Step, together with `raw`.
    """

    usage: Usage
    grounded: bool | None = None
    cut_short: bool = False
    details: Mapping[str, object] = field(default_factory=dict)
    calls: tuple[ToolCall, ...] = ()
    raw: object = None


ModelEvent = TextPiece | Finished
