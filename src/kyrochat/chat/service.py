"""Use cases of conversations: asking, watching, stopping, reading."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.budgets import must_have_budget
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.chat import repository
from kyrochat.chat.answer import Assignment
from kyrochat.chat.conversations import MAX_TITLE_CHARS
from kyrochat.chat.ending import Ending, end_answer
from kyrochat.chat.events import AnswerEnded, LogEntry
from kyrochat.chat.exchanges import (
    AnotherAnswer,
    AnswerInProgress,
    EditedQuestion,
    Exchange,
    NewQuestion,
    Request,
    conversation_of,
    known_exchange,
    locked,
    row_id,
    store,
)
from kyrochat.chat.reading import ConversationReader
from kyrochat.chat.running import RunningAnswers
from kyrochat.chat.title_writer import TitleWriter
from kyrochat.db.changes import Changes, answer_topic
from kyrochat.db.models import Bot, Conversation, Message
from kyrochat.db.states import MessageRole, MessageStatus, TitleOrigin
from kyrochat.errors import Conflict, InvalidInput, NotFound
from kyrochat.rates.limits import MESSAGES_PER_KEY, MESSAGES_PER_USER
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.retrieval.search_settings import NO_FILTER, DocumentFilter
from kyrochat.retrieval.settings_rules import check_filter
from kyrochat.rules import Rules

MAX_QUESTION_CHARS = 20_000
MAX_KEY_CHARS = 200
# PostgreSQL's integers end here, long after any log.
MAX_SEQUENCE = 2**31 - 1


class NotStreaming(Conflict):
    """The message is not an answer that is being written."""

    def __init__(self, status: MessageStatus) -> None:
        super().__init__(f"Only an answer that is STREAMING can be stopped; this message is {status}.")


@dataclass(frozen=True, slots=True)
class ChatService(ConversationReader):
    """What can be done with conversations."""

    changes: Changes
    running: RunningAnswers
    rates: Rates = NO_LIMITS
    # None: titles stay the starts of first questions.
    titles: TitleWriter | None = None

    async def start(self, viewer: Viewer, bot_id: UUID, title: str | None) -> Conversation:
        """Begin a conversation with a bot. Without a title the first question gives it one.

        Raises:
            InvalidInput: the title is too long.
            NotFound: the viewer has no such bot.
        """
        viewer.must(Act.CHAT)
        rules = Rules()
        title = rules.text("title", title or "", max_chars=MAX_TITLE_CHARS)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            bot = await _bot(session, viewer, bot_id)
            viewer.must(Act.CHAT, bot.workspace_id)
            is_public = viewer.key is not None and viewer.key.is_public
            conversation = Conversation(
                id=row_id(is_public=is_public),
                workspace_id=bot.workspace_id,
                bot_id=bot.id,
                user_id=viewer.user_id,
                is_public=is_public,
                title=title,
                title_origin=TitleOrigin.USER if title else TitleOrigin.DERIVED,
            )
            session.add(conversation)
            await session.flush()
            await session.refresh(conversation)
            return conversation

    async def send(
        self,
        viewer: Viewer,
        conversation_id: UUID,
        text: str,
        *,
        idempotency_key: str | None = None,
        parent_id: UUID | None = None,
        wanted: DocumentFilter = NO_FILTER,
    ) -> Exchange:
        """Store a question with an empty answer, begin to write the answer, and return both at once.

        It follows the last message of the active branch, or the answer `parent_id`. The same idempotency key returns
        the same exchange. The answer is made from documents that the filter lets through, and so is each further one
        to the same question. One answer at a time is written in a conversation, whatever the branch: whoever asks
        meanwhile is told so.

        Raises:
            InvalidInput: the text is empty or too long, or the parent is not an answer of this conversation.
            NotFound: the viewer has no such conversation.
            AnswerInProgress: an answer is being written in the conversation.
            KeyUsedOtherwise: the key was used to have a question answered once more.
            TooManySiblings: there are too many questions in that place.
            QuotaExceeded: the viewer's API key has used up its tokens of today.
            RateLimited: the viewer has sent too many messages.
            Overloaded: too many answers are being written, or wait for that.
        """
        text, idempotency_key = _checked(viewer, text, idempotency_key)
        rules = Rules()
        check_filter(rules, wanted)
        rules.enforce()
        return await self._ask(viewer, NewQuestion(conversation_id, text, parent_id, wanted), idempotency_key)

    async def edit(
        self, viewer: Viewer, message_id: UUID, text: str, *, idempotency_key: str | None = None
    ) -> Exchange:
        """Ask a question in other words, in the same place: the first one stays, with all that followed it.

        Raises:
            NotFound: the viewer has no such question.
            InvalidInput, AnswerInProgress and the others: as `send` does.
        """
        text, idempotency_key = _checked(viewer, text, idempotency_key)
        return await self._ask(viewer, EditedQuestion(message_id, text), idempotency_key)

    async def regenerate(self, viewer: Viewer, message_id: UUID, *, idempotency_key: str | None = None) -> Exchange:
        """Have the question of an answer answered once more, however that one ended; it stays as it is.

        Raises:
            NotFound: the viewer has no such answer.
            InvalidInput, AnswerInProgress and the others: as `send` does.
        """
        _, idempotency_key = _checked(viewer, None, idempotency_key)
        return await self._ask(viewer, AnotherAnswer(message_id), idempotency_key)

    async def _ask(self, viewer: Viewer, request: Request, key: str | None) -> Exchange:
        limit = MESSAGES_PER_KEY if viewer.speaks_for_many else MESSAGES_PER_USER
        await self.rates.charge(limit, viewer.counted_as)
        # A client that goes away between the commit and the start must not leave an answer that nobody writes.
        return await self.running.stored(self._begin(viewer, request, key))

    async def _begin(self, viewer: Viewer, request: Request, key: str | None) -> Exchange:
        token, searching = uuid4(), None
        try:
            async with self.database.begin(viewer.workspaces) as session:
                conversation = await conversation_of(session, viewer, request)
                known = await known_exchange(session, conversation, request, key)
                if known is not None:
                    return known
                last = await repository.last_message(session, conversation.id)
                if last is not None and last.status is MessageStatus.STREAMING:
                    raise AnswerInProgress(last.id)
                self.running.must_have_room(conversation.workspace_id, viewer.counted_as)
                await must_have_budget(session, viewer)
                bot = await _bot(session, viewer, conversation.bot_id)
                if isinstance(request, NewQuestion):
                    searching = self.running.search_ahead(bot, request.text, request.filter)
                model = self.running.answerer.model.model_of(bot.model)
                exchange = await store(
                    session, conversation, last, request, key=key, model=model, api_key_id=viewer.key_id
                )
                await repository.add_lease(session, exchange.answer, token, self.running.lease)
        except BaseException:
            if searching is not None:
                searching.cancel()
            raise
        question, answer = exchange.question, exchange.answer
        # Whoever asks through a key has a budget of tokens, and shows his own titles if any.
        if self.titles is not None and viewer.key is None and question.position == 1:
            self.titles.begin(conversation, bot, question.text)
        wanted = DocumentFilter.from_json(question.document_filter or {})
        assignment = Assignment(bot, question.id, question.text, wanted, searching)
        self.running.start(answer.id, answer.workspace_id, token, assignment, viewer.counted_as)
        return exchange

    async def stop(self, viewer: Viewer, message_id: UUID) -> Message:
        """End an answer with the text so far, whichever process writes it, and return it.

        Raises:
            NotFound: the viewer has no such message.
            NotStreaming: it is a question. An answer that has ended meanwhile is returned as it is.
        """
        viewer.must(Act.CHAT)
        message = await self.message(viewer, message_id)
        if message.role is not MessageRole.ASSISTANT:
            raise NotStreaming(message.status)
        await self.running.end(message.id, message.workspace_id, Ending(MessageStatus.STOPPED))
        return await self.message(viewer, message_id)

    async def events(self, viewer: Viewer, message_id: UUID, after: int) -> AsyncGenerator[LogEntry, None]:
        """Yield the entries of an answer's log after `after`, in order: replayed, then live, until the last one.

        A watcher holds an offset and no queue: one that reads slowly costs nothing.

        Raises:
            InvalidInput: `after` is negative.
            NotFound: the viewer has no such message, or it is a question.
        """
        viewer.must(Act.CHAT)
        if after < 0:
            raise InvalidInput.at("after", "It is a sequence number, 0 or more.")
        message = await self.message(viewer, message_id)
        if message.role is not MessageRole.ASSISTANT:
            raise NotFound("answer")
        log = self.running.answerer.log
        after = min(after, MAX_SEQUENCE)
        with self.changes.watch(answer_topic(message_id)) as bell:
            while True:
                has_ended = message.status is not MessageStatus.STREAMING
                entries = await log.read(message_id, message.workspace_id, after, has_ended=has_ended)
                for entry in entries:
                    yield entry
                    after = entry.sequence
                    if isinstance(entry.event, AnswerEnded):
                        return
                if entries:
                    continue
                # The last event and the final status are one transaction: read after the status, it is there.
                if has_ended:
                    return
                await bell.wait()
                if not log.is_open(message_id):
                    message = await self.message(viewer, message_id)

    async def message(self, viewer: Viewer, message_id: UUID) -> Message:
        """Return a message.

        Raises:
            NotFound: the viewer has no such message.
        """
        found = await self.messages(viewer, [message_id])
        if not found:
            raise NotFound("message")
        return found[0]

    async def delete(self, viewer: Viewer, conversation_id: UUID) -> UUID:
        """Delete a conversation with its messages; an answer that is being written ends with it.

        Raises:
            NotFound: the viewer has no such conversation.
        """
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            conversation = await locked(session, viewer, conversation_id)
            # An end like any other: it tells watchers and the writer, and what the answer took so far is charged.
            for answer_id in await repository.streaming(session, conversation_id):
                await end_answer(session, self.changes, answer_id, Ending(MessageStatus.STOPPED))
            await session.delete(conversation)
            record(
                session,
                AuditAct.CONVERSATION_DELETED,
                viewer,
                workspace_id=conversation.workspace_id,
                of=("Conversation", conversation.id),
            )
        return conversation_id


def _checked(viewer: Viewer, text: str | None, idempotency_key: str | None) -> tuple[str, str | None]:
    """Return the text and the key as they are stored; '' without a text."""
    viewer.must(Act.CHAT)
    rules = Rules()
    if text is not None:
        text = rules.text("text", text, max_chars=MAX_QUESTION_CHARS, min_chars=1)
    if idempotency_key is not None:
        idempotency_key = rules.text("idempotencyKey", idempotency_key, max_chars=MAX_KEY_CHARS, min_chars=1)
    rules.enforce()
    return text or "", idempotency_key


async def _bot(session: AsyncSession, viewer: Viewer, bot_id: UUID) -> Bot:
    bot = await bots.get(session, bot_id, reach=viewer.reach)
    if bot is None:
        raise NotFound("bot")
    return bot
