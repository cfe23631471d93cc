"""Asking in the schema: new questions, other words for old ones, other answers; and stopping those."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.chat import exchanges
from kyrochat.graphql.chat import AnswerId, Conversation, ConversationId, Message
from kyrochat.graphql.context import Info
from kyrochat.graphql.filters import DocumentFilterInput, document_filter
from kyrochat.graphql.ids import optional_row_id, row_id
from kyrochat.graphql.optional import if_given
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem, QuotaExceededProblem

KEY = "Any text of yours, new for each request: sending it again returns the same exchange."
IdempotencyKey = Annotated[str | None, strawberry.argument(description=KEY)]


@strawberry.type(description="A question, and the answer that is being written.")
class Exchange:
    """From exchanges.Exchange."""

    question: Message = strawberry.field(description="The question as it was stored.")
    answer: Message = strawberry.field(description="The answer; watch it with `answerEvents`.")

    @classmethod
    def from_service(cls, exchange: exchanges.Exchange) -> "Exchange":
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
        description=KEY,
    )
    parent_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="The answer that the question follows; by default the end of the active branch."
    )
    filter: DocumentFilterInput | None = strawberry.field(
        default=UNSET,
        description="Answer from these documents only; so do further answers to the question, and edits of it.",
    )


@strawberry.input(description="A question in other words.")
class EditMessageInput:
    """For `editMessage`."""

    message_id: strawberry.ID = strawberry.field(description="The question; the first one of a conversation too.")
    text: str = strawberry.field(description="What to ask instead, up to 20,000 characters.")
    idempotency_key: str | None = strawberry.field(default=UNSET, description=KEY)


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
        "One answer at a time is written in a conversation: another question meanwhile, on whatever branch, is a "
        "conflict that names the answer."
    )
    async def send_message(
        self, info: Info, input: Annotated[SendMessageInput, strawberry.argument(description="The question.")]
    ) -> SendMessageResult:
        """Ask."""
        exchange = await info.context.services.chat.send(
            info.context.viewer,
            row_id("Conversation", input.conversation_id),
            input.text,
            idempotency_key=if_given(input.idempotency_key),
            parent_id=optional_row_id("Message", input.parent_id),
            wanted=document_filter(input.filter),
        )
        return Exchange.from_service(exchange)

    @strawberry.mutation(
        description="Ask a question in other words, in its place: the question as it was stays beside it, with all "
        "that followed. The new branch is the active one. Else as `sendMessage`."
    )
    async def edit_message(
        self, info: Info, input: Annotated[EditMessageInput, strawberry.argument(description="The new words.")]
    ) -> SendMessageResult:
        """Ask."""
        exchange = await info.context.services.chat.edit(
            info.context.viewer,
            row_id("Message", input.message_id),
            input.text,
            idempotency_key=if_given(input.idempotency_key),
        )
        return Exchange.from_service(exchange)

    @strawberry.mutation(
        description="Have the question of an answer answered once more, however that answer ended. It stays, and the "
        "new one beside it is on the active branch. Else as `sendMessage`."
    )
    async def regenerate_answer(
        self, info: Info, message_id: AnswerId, idempotency_key: IdempotencyKey = UNSET
    ) -> SendMessageResult:
        """Ask."""
        exchange = await info.context.services.chat.regenerate(
            info.context.viewer,
            row_id("Message", message_id),
            idempotency_key=if_given(idempotency_key),
        )
        return Exchange.from_service(exchange)

    @strawberry.mutation(
        description="Stop an answer and keep its text so far. One that has ended meanwhile is returned as it is."
    )
    async def stop_answer(self, info: Info, message_id: AnswerId) -> StopAnswerResult:
        """Stop."""
        chat = info.context.services.chat
        return Message.from_row(await chat.stop(info.context.viewer, row_id("Message", message_id)))

    @strawberry.mutation(description="Delete a conversation with its messages.")
    async def delete_conversation(self, info: Info, id: ConversationId) -> DeleteConversationResult:
        """Delete."""
        await info.context.services.chat.delete(info.context.viewer, row_id("Conversation", id))
        return DeletedConversation(id=id)
