"""Questions with their answers: asked anew, asked differently, answered once more. What a transaction stores of them.

The messages of a conversation are a tree: a question follows an answer, or begins the conversation; a question that
was put differently stands beside the first one, under the same parent, and so does each further answer to a question.
"""

from dataclasses import dataclass
from typing import Any, assert_never
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat import repository, tree_repository
from kyrochat.chat.titles import derived_title
from kyrochat.db.columns import new_id
from kyrochat.db.models import Conversation, Message
from kyrochat.db.states import MessageRole, MessageStatus
from kyrochat.errors import Conflict, InvalidInput, NotFound
from kyrochat.retrieval.search_settings import NO_FILTER, DocumentFilter

# The ids of all that stand in one place are told at once.
MAX_SIBLINGS = 100


class AnswerInProgress(Conflict):
    """An answer is being written in the conversation, on whatever branch."""

    def __init__(self, answer_id: UUID) -> None:
        super().__init__("An answer is being written in this conversation. Wait for its end, or call `stopAnswer`.")
        self.answer_id = answer_id


class KeyUsedOtherwise(Conflict):
    """The idempotency key belongs to another request of this conversation."""

    def __init__(self) -> None:
        super().__init__("This `idempotencyKey` was used for something else in this conversation. Send a new one.")


class TooManySiblings(Conflict):
    """So many messages stand in one place that no more are taken."""

    def __init__(self) -> None:
        super().__init__(
            f"There are {MAX_SIBLINGS} versions of this message, the most that there may be. "
            "Go on from one of them, or start a new conversation."
        )


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer."""

    question: Message
    answer: Message


@dataclass(frozen=True, slots=True)
class NewQuestion:
    """A question after an answer; without one, after the last message of the active branch."""

    conversation_id: UUID
    text: str
    parent_id: UUID | None = None
    filter: DocumentFilter = NO_FILTER


@dataclass(frozen=True, slots=True)
class EditedQuestion:
    """The same question in other words, for the same documents: a sibling of the first one."""

    question_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class AnotherAnswer:
    """One more answer to the question of an answer: a sibling of it."""

    answer_id: UUID


Request = NewQuestion | EditedQuestion | AnotherAnswer


async def locked(session: AsyncSession, viewer: Viewer, conversation_id: UUID) -> Conversation:
    """Return a conversation of the viewer's, and let nobody else write in it until the transaction ends.

    Raises:
        NotFound: the viewer has no such conversation.
    """
    conversation = await repository.conversation(session, conversation_id, viewer=viewer, for_update=True)
    if conversation is None:
        raise NotFound("conversation")
    return conversation


async def conversation_of(session: AsyncSession, viewer: Viewer, request: Request) -> Conversation:
    """Return the conversation that a request is about, locked.

    Raises:
        NotFound: the viewer has no such conversation, question or answer.
    """
    match request:
        case NewQuestion(conversation_id):
            return await locked(session, viewer, conversation_id)
        case EditedQuestion(question_id):
            found = await _own(session, viewer, question_id, MessageRole.USER)
        case AnotherAnswer(answer_id):
            found = await _own(session, viewer, answer_id, MessageRole.ASSISTANT)
        case _:
            assert_never(request)
    return await locked(session, viewer, found.conversation_id)


async def known_exchange(
    session: AsyncSession, conversation: Conversation, request: Request, key: str | None
) -> Exchange | None:
    """Return what was stored under the idempotency key before, if anything was.

    Raises:
        KeyUsedOtherwise: that was a question, and this asks for another answer or puts another question differently; or
            the other way round.
    """
    found = None if key is None else await repository.exchange_by_key(session, conversation.id, key)
    if found is None:
        return None
    question, answer = found
    is_question = question.idempotency_key == key
    if isinstance(request, AnotherAnswer):
        before = await repository.message_in(session, conversation.id, request.answer_id)
        if is_question or before is None or before.parent_id != question.id:
            raise KeyUsedOtherwise
    elif not is_question:
        raise KeyUsedOtherwise
    elif isinstance(request, EditedQuestion):
        # Put differently it stands beside the first one.
        before = await repository.message_in(session, conversation.id, request.question_id)
        if before is None or before.id == question.id or before.parent_id != question.parent_id:
            raise KeyUsedOtherwise
    return Exchange(question, answer)


async def store(
    session: AsyncSession,
    conversation: Conversation,
    last: Message | None,
    request: Request,
    *,
    key: str | None,
    model: str,
    api_key_id: UUID | None,
) -> Exchange:
    """Store what is asked with an empty answer, which is the end of the active branch from now on.

    The conversation is locked, `last` is its newest message, and no answer is being written in it.

    Raises:
        InvalidInput: the parent is no answer of this conversation.
        TooManySiblings: nothing more fits in that place.
    """
    position = last.position if last else 0
    if isinstance(request, AnotherAnswer):
        question = await _question_of(session, conversation, request.answer_id)
        await _must_have_room(session, conversation, question.id)
    else:
        position += 1
        parent_id, document_filter = await _place(session, conversation, last, request)
        question = Message(
            id=message_id(conversation),
            workspace_id=conversation.workspace_id,
            conversation_id=conversation.id,
            parent_id=parent_id,
            position=position,
            role=MessageRole.USER,
            text=request.text,
            document_filter=document_filter,
            idempotency_key=key,
        )
        session.add(question)
    answer = Message(
        id=message_id(conversation),
        workspace_id=conversation.workspace_id,
        conversation_id=conversation.id,
        parent_id=question.id,
        position=position + 1,
        role=MessageRole.ASSISTANT,
        status=MessageStatus.STREAMING,
        model=model,
        api_key_id=api_key_id,
        idempotency_key=key if isinstance(request, AnotherAnswer) else None,
    )
    session.add(answer)
    # The question first, if it is new: rows of a table are stored in the order in which they were added.
    await session.flush()
    conversation.title = conversation.title or derived_title(question.text)
    conversation.active_leaf_id = answer.id
    conversation.updated_at = answer.created_at
    conversation.recency = new_id()
    session.add(conversation)
    return Exchange(question, answer)


def message_id(conversation: Conversation) -> UUID:
    """Return an id for a message of the conversation."""
    return row_id(is_public=conversation.is_public)


def row_id(*, is_public: bool) -> UUID:
    """Return an id for a row that is public or not."""
    # Whoever has the id of something public may read it: so it must not tell when it was made, nor be near another.
    return uuid4() if is_public else new_id()


async def _own(session: AsyncSession, viewer: Viewer, message_id: UUID, role: MessageRole) -> Message:
    found = await repository.messages(session, [message_id], viewer=viewer)
    if not found or found[0].role is not role:
        raise NotFound("question" if role is MessageRole.USER else "answer")
    return found[0]


async def _question_of(session: AsyncSession, conversation: Conversation, answer_id: UUID) -> Message:
    answer = await repository.message_in(session, conversation.id, answer_id)
    parent_id = answer.parent_id if answer else None
    question = await repository.message_in(session, conversation.id, parent_id) if parent_id else None
    if question is None:
        raise NotFound("answer")
    return question


async def _place(
    session: AsyncSession, conversation: Conversation, last: Message | None, request: NewQuestion | EditedQuestion
) -> tuple[UUID | None, dict[str, Any] | None]:
    """Return what the question follows, and the documents that it is for."""
    if isinstance(request, EditedQuestion):
        edited = await repository.message_in(session, conversation.id, request.question_id)
        if edited is None:
            raise NotFound("question")
        await _must_have_room(session, conversation, edited.parent_id)
        return edited.parent_id, edited.document_filter
    wanted = None if request.filter == NO_FILTER else request.filter.to_json()
    if request.parent_id is None:
        # Nothing follows a leaf, so there is room. Conversations from before there were branches have none.
        return conversation.active_leaf_id or (last.id if last else None), wanted
    parent = await repository.message_in(session, conversation.id, request.parent_id)
    if parent is None or parent.role is not MessageRole.ASSISTANT:
        raise InvalidInput.at("parentId", "It names no answer of this conversation.")
    await _must_have_room(session, conversation, parent.id)
    return parent.id, wanted


async def _must_have_room(session: AsyncSession, conversation: Conversation, parent_id: UUID | None) -> None:
    if await tree_repository.reply_count(session, conversation.id, parent_id) >= MAX_SIBLINGS:
        raise TooManySiblings
