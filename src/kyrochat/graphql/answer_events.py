"""The events of an answer in the schema."""

import json
from typing import TYPE_CHECKING, Annotated, assert_never
from uuid import UUID

import strawberry

from kyrochat.chat import events
from kyrochat.db.states import MessageStatus
from kyrochat.errors import NotFound
from kyrochat.graphql.context import Context
from kyrochat.graphql.passages import Citation, Passage
from kyrochat.graphql.translate import translate

if TYPE_CHECKING:
    from kyrochat.graphql.chat import Message

LazyMessage = Annotated["Message", strawberry.lazy("kyrochat.graphql.chat")]
SEQUENCE = (
    "Its place in the answer's log. It rises: 1, 2, 3 … while the answer is written; later one delta may stand for "
    "several events, and has the number of the last. Resume with it as `after`."
)
MESSAGE = "The answer as it is stored."


@strawberry.type(description="The passages that the answer may use, best first.")
class PassagesFound:
    """From events.PassagesFound."""

    sequence: int = strawberry.field(description=SEQUENCE)
    passages: list[Passage] = strawberry.field(description="Those whose document was not deleted since.")


@strawberry.type(description="The next characters of the answer.")
class TextDelta:
    """From events.TextDelta."""

    sequence: int = strawberry.field(description=SEQUENCE)
    text: str = strawberry.field(description="Append it to what you have. Markdown, cleaned: see `Message.text`.")


@strawberry.type(description="A quote; its marker follows in the text.")
class CitationAdded:
    """From events.CitationAdded."""

    sequence: int = strawberry.field(description=SEQUENCE)
    citation: Citation = strawberry.field(description="The quote and where it is.")


@strawberry.type(description="The model used a tool while it answered.")
class ToolCalled:
    """From events.ToolCalled."""

    sequence: int = strawberry.field(description=SEQUENCE)
    tool: str = strawberry.field(description="Which one: `search_documents`, or one of the bot's own.")
    arguments: str = strawberry.field(description="What it was called with, as JSON.")
    passages: list[Passage] = strawberry.field(
        description="What it brought that was not there before, as far as the documents were not deleted since."
    )
    problem: str | None = strawberry.field(description="Why nothing came of it, safe to show.")


@strawberry.type(description="The last event: the answer was written to its end.")
class AnswerCompleted:
    """From events.AnswerEnded."""

    sequence: int = strawberry.field(description=SEQUENCE)
    message: LazyMessage = strawberry.field(description=MESSAGE)


@strawberry.type(description="The last event: `stopAnswer` was called; the text so far is kept.")
class AnswerStopped:
    """From events.AnswerEnded."""

    sequence: int = strawberry.field(description=SEQUENCE)
    message: LazyMessage = strawberry.field(description=MESSAGE)


@strawberry.type(description="The last event: the server died while answering; the text so far is kept.")
class AnswerInterrupted:
    """From events.AnswerEnded."""

    sequence: int = strawberry.field(description=SEQUENCE)
    message: LazyMessage = strawberry.field(description=MESSAGE)


@strawberry.type(description="The last event: the model failed; the text so far is kept.")
class AnswerFailed:
    """From events.AnswerEnded."""

    sequence: int = strawberry.field(description=SEQUENCE)
    message: LazyMessage = strawberry.field(description=MESSAGE)
    reason: str = strawberry.field(description="What failed, safe to show.")
    retryable: bool = strawberry.field(description="Whether asking again may help.")


AnswerEvent = Annotated[
    PassagesFound
    | TextDelta
    | CitationAdded
    | ToolCalled
    | AnswerCompleted
    | AnswerStopped
    | AnswerInterrupted
    | AnswerFailed,
    strawberry.union("AnswerEvent", description="What happens in an answer. Every member has `sequence`."),
]


async def event_type(entry: events.LogEntry, message_id: UUID, context: Context) -> AnswerEvent:
    """Translate an entry of an answer's log."""
    sequence = entry.sequence
    match entry.event:
        case events.PassagesFound(passages, _):
            return PassagesFound(sequence=sequence, passages=await Passage.of_live_documents(passages, context))
        case events.TextDelta(text):
            return TextDelta(sequence=sequence, text=text)
        case events.CitationAdded(quote):
            return CitationAdded(sequence=sequence, citation=Citation.from_row(quote))
        case events.ToolCalled(tool, arguments, found, problem, _):
            return ToolCalled(
                sequence=sequence,
                tool=tool,
                arguments=json.dumps(arguments, ensure_ascii=False),
                passages=await Passage.of_live_documents(found, context),
                problem=problem,
            )
        case events.AnswerEnded() as ended:
            return await _ending(ended, sequence, message_id, context)
        case _ as unknown:
            assert_never(unknown)


async def _ending(ended: events.AnswerEnded, sequence: int, message_id: UUID, context: Context) -> AnswerEvent:
    row = await context.messages.load(message_id)
    if row is None:
        raise NotFound("message")
    message = translate(row, context)
    match ended.status:
        case MessageStatus.COMPLETED:
            return AnswerCompleted(sequence=sequence, message=message)
        case MessageStatus.STOPPED:
            return AnswerStopped(sequence=sequence, message=message)
        case MessageStatus.INTERRUPTED:
            return AnswerInterrupted(sequence=sequence, message=message)
        case _:
            return AnswerFailed(
                sequence=sequence, message=message, reason=ended.reason or "", retryable=ended.retryable
            )
