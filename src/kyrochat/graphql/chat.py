"""Conversations, messages and answers in the schema."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, cast

import strawberry
from strawberry import UNSET

from kyrochat.chat import service
from kyrochat.db import models
from kyrochat.errors import NotFound
from kyrochat.graphql.answer_events import AnswerEvent, event_type
from kyrochat.graphql.answer_facts import AnswerFacts
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import MessageRole, MessageStatus
from kyrochat.graphql.ids import global_id, optional_row_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.passages import Citation, Passage
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem, QuotaExceededProblem
from kyrochat.graphql.searches import Retrieval, SearchTrace
from kyrochat.graphql.translate import translate

if TYPE_CHECKING:
    from kyrochat.graphql.bots import Bot

ConversationId = Annotated[strawberry.ID, strawberry.argument(description="The id of a conversation.")]
MessageId = Annotated[strawberry.ID, strawberry.argument(description="The id of an answer.")]


@strawberry.type(description="Questions of yours to one bot, and the answers.")
class Conversation(Node):
    """From models.Conversation."""

    row: strawberry.Private[models.Conversation]
    title: str = strawberry.field(description="How it is called; by default the start of its first question.")
    created_at: datetime = strawberry.field(description="When it began.")
    updated_at: datetime = strawberry.field(description="When the last question was asked.")

    @classmethod
    def from_row(cls, row: models.Conversation) -> "Conversation":
        """Translate."""
        return cls(
            id=global_id("Conversation", row.id),
            row=row,
            title=row.title,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @strawberry.field(description="The bot that answers.")
    async def bot(self, info: Info) -> Annotated["Bot", strawberry.lazy("kyrochat.graphql.bots")]:
        """Load."""
        row = await info.context.bots.load(self.row.bot_id)
        if row is None:  # deleted in this very moment
            raise NotFound("bot")
        return cast("Bot", translate(row, info.context))

    @strawberry.field(description="Its messages, newest first; `last` begins with the oldest.")
    async def messages(
        self, info: Info, first: First = 50, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Annotated["Message", strawberry.lazy("kyrochat.graphql.chat")]]:
        """Page."""
        chat, viewer = info.context.services.chat, info.context.viewer
        page = await chat.message_page(viewer, self.row, page_request(first, after, last, before, key=int))
        return connection(
            page, Message.from_row, lambda: chat.message_count(viewer, self.row), key=lambda row: row.position
        )


@strawberry.type(description="Tokens that an answer took, as its provider counts them; words in offline mode.")
class Usage:
    """From models.Message."""

    prompt_tokens: int = strawberry.field(description="What the model read.")
    completion_tokens: int = strawberry.field(description="What the model wrote.")


@strawberry.type(description="A question or an answer.")
class Message(AnswerFacts, Node):
    """From models.Message."""

    row: strawberry.Private[models.Message]
    role: MessageRole = strawberry.field(description="Who wrote it.")
    status: MessageStatus = strawberry.field(description="Where it stands.")
    text: str = strawberry.field(
        description="What it says. '' while an answer is STREAMING: watch it with `answerEvents`."
    )
    grounded: bool | None = strawberry.field(
        description="Whether the sources held an answer; null for questions and answers without an end."
    )
    model: str | None = strawberry.field(description="The model that wrote it; null for questions.")
    created_at: datetime = strawberry.field(description="When it was sent, or begun.")

    @classmethod
    def from_row(cls, row: models.Message) -> "Message":
        """Translate."""
        return cls(
            id=global_id("Message", row.id),
            row=row,
            role=row.role,
            status=row.status,
            text=row.text,
            grounded=row.grounded,
            model=row.model,
            created_at=row.created_at,
        )

    @strawberry.field(description="The conversation that it is in.")
    async def conversation(self, info: Info) -> Conversation:
        """Load."""
        row = await info.context.conversations.load(self.row.conversation_id)
        if row is None:
            raise NotFound("conversation")
        return Conversation.from_row(row)

    @strawberry.field(description="What it replies to: an answer's question, a question's earlier answer.")
    async def parent(self, info: Info) -> Annotated["Message", strawberry.lazy("kyrochat.graphql.chat")] | None:
        """Load."""
        row = await info.context.messages.load(self.row.parent_id) if self.row.parent_id else None
        return Message.from_row(row) if row else None

    @strawberry.field(description="The quotes that its markers stand for, by number.")
    async def citations(self, info: Info) -> list[Citation]:
        """Load."""
        return [Citation.from_row(row) for row in await info.context.citations.load(self.row.id)]

    @strawberry.field(description="How the passages were found that it could use; null for questions.")
    async def retrieval(self, info: Info) -> Retrieval | None:
        """Load."""
        if self.row.role is not MessageRole.ASSISTANT:
            return None
        return Retrieval(
            searches=[SearchTrace.from_value(each) for each in await info.context.searches.load(self.row.id)]
        )

    @strawberry.field(description="Tokens that it took; null for questions and unfinished answers.")
    def usage(self) -> Usage | None:
        """Translate."""
        if self.row.prompt_tokens is None or self.row.completion_tokens is None:
            return None
        return Usage(prompt_tokens=self.row.prompt_tokens, completion_tokens=self.row.completion_tokens)


@translate.register
def _(row: models.Conversation, context: Context) -> Conversation:
    del context
    return Conversation.from_row(row)


@translate.register
def _(row: models.Message, context: Context) -> Message:
    del context
    return Message.from_row(row)


@strawberry.type(description="A question, and the answer that is being written.")
class Exchange:
    """From service.Exchange."""

    question: Message = strawberry.field(description="The question as it was stored.")
    answer: Message = strawberry.field(description="The answer; watch it with `answerEvents`.")

    @classmethod
    def from_service(cls, exchange: service.Exchange) -> "Exchange":
        """Translate."""
        return cls(question=Message.from_row(exchange.question), answer=Message.from_row(exchange.answer))


@strawberry.type(description="A conversation that is gone, with its messages.")
class DeletedConversation:
    """The answer of `deleteConversation`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.input(description="A new conversation.")
class StartConversationInput:
    """For `startConversation`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot that shall answer.")
    title: str | None = strawberry.field(default=UNSET, description="By default the start of the first question.")


@strawberry.input(description="A question.")
class SendMessageInput:
    """For `sendMessage`."""

    conversation_id: strawberry.ID = strawberry.field(description="The conversation to ask in.")
    text: str = strawberry.field(description="The question, up to 20,000 characters.")
    idempotency_key: str | None = strawberry.field(
        default=UNSET,
        description="Any text of yours, new for each question: sending it again returns the same exchange.",
    )
    parent_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="The answer that the question follows; the newest by default."
    )


StartConversationResult = Annotated[
    Conversation | InvalidInputProblem | NotFoundProblem,
    strawberry.union("StartConversationResult", description="The conversation, or why there is none."),
]
SendMessageResult = Annotated[
    Exchange | InvalidInputProblem | ConflictProblem | NotFoundProblem | QuotaExceededProblem,
    strawberry.union("SendMessageResult", description="Question and answer, or why they were not stored."),
]
StopAnswerResult = Annotated[
    Message | ConflictProblem | NotFoundProblem,
    strawberry.union("StopAnswerResult", description="The answer with the text so far, or why it cannot be stopped."),
]
DeleteConversationResult = Annotated[
    DeletedConversation | NotFoundProblem,
    strawberry.union("DeleteConversationResult", description="It is gone, or was not there."),
]


@strawberry.type
class ChatQuery:
    """Queries on conversations."""

    @strawberry.field(description="A conversation of yours, or null.")
    async def conversation(self, info: Info, id: ConversationId) -> Conversation | None:
        """Load."""
        row = await info.context.conversations.load(row_id("Conversation", id))
        return Conversation.from_row(row) if row else None

    @strawberry.field(description="Passages for a question, best first, by the very path that answers use.")
    async def search(
        self,
        info: Info,
        bot_id: Annotated[strawberry.ID, strawberry.argument(description="The bot whose documents to search.")],
        query: Annotated[str, strawberry.argument(description="A question, or just words.")],
        first: Annotated[int | None, strawberry.argument(description="How many at most: 1 to 50.")] = 8,
    ) -> list[Passage]:
        """Search."""
        chat = info.context.services.chat
        found = await chat.search(info.context.viewer, row_id("Bot", bot_id), query, 8 if first is None else first)
        return await Passage.of_live_documents(found, info.context)


@strawberry.type
class ChatMutation:
    """Mutations on conversations."""

    @strawberry.mutation(description="Begin a conversation with a bot.")
    async def start_conversation(
        self, info: Info, input: Annotated[StartConversationInput, strawberry.argument(description="With whom.")]
    ) -> StartConversationResult:
        """Start."""
        chat = info.context.services.chat
        return Conversation.from_row(await chat.start(info.context.viewer, row_id("Bot", input.bot_id), input.title))

    @strawberry.mutation(
        description="Store a question and start the answer; the server owns the answer, whoever watches. "
        "The same `idempotencyKey` returns the same exchange. "
        "While an answer is being written in the conversation, another question is a conflict."
    )
    async def send_message(
        self, info: Info, input: Annotated[SendMessageInput, strawberry.argument(description="The question.")]
    ) -> SendMessageResult:
        """Ask."""
        exchange = await info.context.services.chat.send(
            info.context.viewer,
            row_id("Conversation", input.conversation_id),
            input.text,
            idempotency_key=None if input.idempotency_key is UNSET else input.idempotency_key,
            parent_id=optional_row_id("Message", input.parent_id),
        )
        return Exchange.from_service(exchange)

    @strawberry.mutation(
        description="Stop an answer and keep its text so far. One that has ended meanwhile is returned as it is."
    )
    async def stop_answer(self, info: Info, message_id: MessageId) -> StopAnswerResult:
        """Stop."""
        chat = info.context.services.chat
        return Message.from_row(await chat.stop(info.context.viewer, row_id("Message", message_id)))

    @strawberry.mutation(description="Delete a conversation with its messages.")
    async def delete_conversation(self, info: Info, id: ConversationId) -> DeleteConversationResult:
        """Delete."""
        await info.context.services.chat.delete(info.context.viewer, row_id("Conversation", id))
        return DeletedConversation(id=id)


@strawberry.type
class ChatSubscription:
    """Subscriptions to answers."""

    @strawberry.subscription(
        description="Events of one answer, in order, from after `after`: replayed, then live, until the last one. "
        "Joining the `text` of all TextDelta events gives the stored text, whatever was dropped, restarted or "
        "replayed on the way. What you have received is durable. "
        "It ends after AnswerCompleted, AnswerStopped, AnswerInterrupted or AnswerFailed."
    )
    async def answer_events(
        self,
        info: Info,
        message_id: MessageId,
        after: Annotated[
            int | None, strawberry.argument(description="The last `sequence` that you have; 0: from the start.")
        ] = 0,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Watch."""
        chat = info.context.services.chat
        message = row_id("Message", message_id)
        async for entry in chat.events(info.context.viewer, message, after or 0):
            yield await event_type(entry, message, info.context)
