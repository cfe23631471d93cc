"""Conversations, messages and answers in the schema."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID

import strawberry
from strawberry import UNSET

from kyrochat.db import models
from kyrochat.db.keyset import PageRequest
from kyrochat.errors import NotFound
from kyrochat.graphql.answer_events import AnswerEvent, event_type
from kyrochat.graphql.answer_facts import AnswerFacts
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.enums import MessageRole, MessageStatus
from kyrochat.graphql.feedback import Feedback
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.passages import Citation
from kyrochat.graphql.searches import Retrieval, SearchTrace
from kyrochat.graphql.shares import Share
from kyrochat.graphql.translate import translate

if TYPE_CHECKING:
    from kyrochat.graphql.bots import Bot

ConversationId = Annotated[strawberry.ID, strawberry.argument(description="The id of a conversation.")]
AnswerId = Annotated[strawberry.ID, strawberry.argument(description="The id of an answer.")]
EveryBranch = Annotated[
    bool, strawberry.argument(description="List the messages of all branches, in the order of writing.")
]


@strawberry.type(description="Questions of yours to one bot, and the answers.")
class Conversation(Node):
    """From models.Conversation."""

    row: strawberry.Private[models.Conversation]
    title: str = strawberry.field(
        description="How it is called; by default the start of its first question, then what a model makes of that."
    )
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
        return cast("Bot", translate(await info.context.bot(self.row.bot_id), info.context))

    @strawberry.field(
        description="The messages of its active branch, newest first; `last` begins with the oldest. "
        "Cursors hold on every branch that the message is on."
    )
    async def messages(
        self,
        info: Info,
        first: First = 50,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
        every_branch: EveryBranch = False,
    ) -> Connection[Annotated["Message", strawberry.lazy("kyrochat.graphql.chat")]]:
        """Page."""
        request = page_request(first, after, last, before, key=int)
        return await _messages(info.context, self.row.id, request, every_branch=every_branch)

    @strawberry.field(description="The links that you have made to it and that work, the newest first; up to 20.")
    async def shares(self, info: Info) -> list[Share]:
        """Load."""
        return [Share.from_row(row) for row in await info.context.shares_of.load(self.row.id)]

    @strawberry.field(description="The last message of its active branch; null before the first question.")
    async def active_leaf(self, info: Info) -> Annotated["Message", strawberry.lazy("kyrochat.graphql.chat")] | None:
        """Load."""
        leaf_id = await info.context.active_leaves.load(self.row.id)
        row = await info.context.messages.load(leaf_id) if leaf_id else None
        return Message.from_row(row) if row else None


@strawberry.type(description="Tokens that an answer took, as its provider counts them; words in offline mode.")
class Usage:
    """From models.Message."""

    prompt_tokens: int = strawberry.field(description="What the model read.")
    completion_tokens: int = strawberry.field(description="What the model wrote.")


@strawberry.type(description="The messages that stand in one place: versions of a question, or answers to it.")
class MessageSiblings:
    """From ids."""

    place: int = strawberry.field(description="Which of them this message is, from 1 on: the 2 of 2/3.")
    count: int = strawberry.field(description="How many there are, this one included: the 3 of 2/3.")
    ids: list[strawberry.ID] = strawberry.field(
        description="All of them, the oldest first, up to 100. Turn to one with `selectBranch`."
    )


@strawberry.type(description="The messages that follow a message directly.")
class MessageChildren:
    """From ids."""

    count: int = strawberry.field(description="How many there are; 0 where a branch ends.")
    ids: list[strawberry.ID] = strawberry.field(description="All of them, the oldest first, up to 100.")


@strawberry.type(description="A question or an answer.")
class Message(AnswerFacts, Node):
    """From models.Message."""

    row: strawberry.Private[models.Message]
    role: MessageRole = strawberry.field(description="Who wrote it.")
    status: MessageStatus = strawberry.field(description="Where it stands.")
    text: str = strawberry.field(
        description="What it says. '' while an answer is STREAMING: watch it with `answerEvents`. Of answers it is "
        "Markdown without images, HTML and made-up addresses; outside of code, `[1]` is the citation of that number."
    )
    grounded: bool | None = strawberry.field(
        description="Whether the sources held an answer; null for questions and answers without an end."
    )
    model: str | None = strawberry.field(description="The model that wrote it; null for questions.")
    follow_ups: list[str] = strawberry.field(
        description="What one could ask next, up to three questions, where the bot `suggestsFollowUps`. They are there "
        "when the answer has completed: AnswerCompleted has them."
    )
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
            follow_ups=row.follow_ups,
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

    @strawberry.field(description="The messages in its place, itself included.")
    async def siblings(self, info: Info) -> MessageSiblings:
        """Load."""
        found = await info.context.replies.load((self.row.conversation_id, self.row.parent_id))
        # One that was deleted in this very moment stands alone.
        ids = found if self.row.id in found else [self.row.id]
        return MessageSiblings(place=ids.index(self.row.id) + 1, count=len(ids), ids=_message_ids(ids))

    @strawberry.field(description="The messages that follow it directly.")
    async def children(self, info: Info) -> MessageChildren:
        """Load."""
        found = await info.context.replies.load((self.row.conversation_id, self.row.id))
        return MessageChildren(count=len(found), ids=_message_ids(found))

    @strawberry.field(
        description="The branch that ends with it, itself included, newest first; `last` begins with the oldest."
    )
    async def branch(
        self, info: Info, first: First = 50, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[Annotated["Message", strawberry.lazy("kyrochat.graphql.chat")]]:
        """Page."""
        request = page_request(first, after, last, before, key=int)
        return await _messages(info.context, self.row.conversation_id, request, leaf_id=self.row.id)

    @strawberry.field(description="What you think of it; null unless you have rated it.")
    async def feedback(self, info: Info) -> Feedback | None:
        """Load."""
        rated = await info.context.feedback.load(self.row.id)
        return Feedback.from_service(rated) if rated else None

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


async def _messages(
    context: Context,
    conversation_id: UUID,
    request: PageRequest,
    *,
    leaf_id: UUID | None = None,
    every_branch: bool = False,
) -> Connection[Message]:
    chat, viewer = context.services.chat, context.viewer
    page = await chat.message_page(viewer, conversation_id, request, leaf_id=leaf_id, every_branch=every_branch)
    return connection(
        page,
        Message.from_row,
        lambda: chat.message_count(viewer, conversation_id, leaf_id=leaf_id, every_branch=every_branch),
        key=lambda row: row.position,
    )


def _message_ids(row_ids: Sequence[UUID]) -> list[strawberry.ID]:
    return [global_id("Message", row_id) for row_id in row_ids]


@translate.register
def _(row: models.Conversation, context: Context) -> Conversation:
    del context
    return Conversation.from_row(row)


@translate.register
def _(row: models.Message, context: Context) -> Message:
    del context
    return Message.from_row(row)


@strawberry.type
class ChatQuery:
    """Queries on conversations."""

    @strawberry.field(description="A conversation of yours, or null.")
    async def conversation(self, info: Info, id: ConversationId) -> Conversation | None:
        """Load."""
        row = await info.context.conversations.load(row_id("Conversation", id))
        return Conversation.from_row(row) if row else None


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
        message_id: AnswerId,
        after: Annotated[
            int | None, strawberry.argument(description="The last `sequence` that you have; 0: from the start.")
        ] = 0,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Watch."""
        chat = info.context.services.chat
        message = row_id("Message", message_id)
        async for entry in chat.events(info.context.viewer, message, after or 0):
            yield await event_type(entry, message, info.context)
