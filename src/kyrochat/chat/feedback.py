"""Use cases of feedback: rating answers, and reading what users think of a bot's.

Whoever rates an answer shows it with its question to those who manage the bot. Who it was is not said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.chat import feedback_repository, repository
from kyrochat.chat.exchanges import locked
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import AnswerRating, Bot, Citation, Message
from kyrochat.db.states import MessageRole, MessageStatus, Rating
from kyrochat.errors import Conflict, NotFound
from kyrochat.rules import Rules

MAX_COMMENT_CHARS = 4_000


class NotEnded(Conflict):
    """The answer is still being written, so nobody can have read it."""

    def __init__(self) -> None:
        super().__init__("This answer is still being written. Rate it when it has ended.")


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """What somebody thinks of an answer, with what was asked and answered."""

    rating: AnswerRating
    question: Message
    answer: Message
    citations: Sequence[Citation]

    @property
    def id(self) -> UUID:
        """The rating's."""
        return self.rating.id


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which ratings to list: all, or such ones, or those from a time on."""

    rating: Rating | None = None
    since: datetime | None = None

    def checked(self) -> "Wanted":
        """Return it with a time that has a zone.

        Raises:
            InvalidInput: the time is out of all reason.
        """
        rules = Rules()
        since = rules.moment("since", self.since)
        rules.enforce()
        return Wanted(self.rating, since)


@dataclass(frozen=True, slots=True)
class FeedbackService:
    """What can be done with ratings."""

    database: Database

    async def rate(self, viewer: Viewer, message_id: UUID, rating: Rating, comment: str = "") -> Message:
        """Store what the viewer thinks of an answer, in the place of what he thought before, and return the answer.

        Raises:
            InvalidInput: the comment is too long.
            NotFound: the viewer has no such answer.
            NotEnded: it is still being written.
        """
        viewer.must(Act.CHAT)
        rules = Rules()
        comment = rules.text("comment", comment, max_chars=MAX_COMMENT_CHARS)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            answer = await _answer(session, viewer, message_id)
            if answer.status is MessageStatus.STREAMING:
                raise NotEnded
            # Nobody deletes it meanwhile.
            conversation = await locked(session, viewer, answer.conversation_id)
            await feedback_repository.rate(session, answer, conversation.bot_id, viewer.user_id, rating, comment)
        return answer

    async def take_back(self, viewer: Viewer, message_id: UUID) -> Message:
        """Forget what the viewer thinks of an answer, if anything, and return the answer.

        Raises:
            NotFound: the viewer has no such answer.
        """
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            answer = await _answer(session, viewer, message_id)
            await feedback_repository.take_back(session, answer.id, viewer.user_id)
        return answer

    async def of_messages(self, viewer: Viewer, message_ids: Sequence[UUID]) -> Sequence[RatedAnswer]:
        """Return the viewer's own ratings of messages of his, in no order."""
        viewer.must(Act.CHAT)
        async with self.database.begin(viewer.workspaces) as session:
            own = await repository.messages(session, message_ids, viewer=viewer)
            found = await feedback_repository.of_messages(session, [each.id for each in own], viewer.user_id)
            return await _with_answers(session, found)

    async def page(self, viewer: Viewer, bot: Bot, request: PageRequest, wanted: Wanted) -> Page[RatedAnswer]:
        """Return one page of what users think of the answers of a bot within the viewer's reach, newest first.

        Raises:
            InvalidInput: the time is out of all reason.
            Forbidden: the viewer does not manage the bot.
        """
        viewer.must(Act.READ_FEEDBACK, bot.workspace_id)
        wanted = wanted.checked()
        async with self.database.begin(viewer.workspaces) as session:
            found = await feedback_repository.rating_page(session, bot, request, wanted.rating, wanted.since)
            rated = {each.id: each for each in await _with_answers(session, found.rows)}
        rows = [rated[row.id] for row in found.rows if row.id in rated]
        return Page(rows, has_next=found.has_next, has_previous=found.has_previous)

    async def count(self, viewer: Viewer, bot: Bot, wanted: Wanted) -> int:
        """Return how many ratings `page` leads through."""
        viewer.must(Act.READ_FEEDBACK, bot.workspace_id)
        wanted = wanted.checked()
        async with self.database.begin(viewer.workspaces) as session:
            return await feedback_repository.rating_count(session, bot, wanted.rating, wanted.since)


async def _answer(session: AsyncSession, viewer: Viewer, message_id: UUID) -> Message:
    found = await repository.messages(session, [message_id], viewer=viewer)
    if not found or found[0].role is not MessageRole.ASSISTANT:
        raise NotFound("answer")
    return found[0]


async def _with_answers(session: AsyncSession, ratings: Sequence[AnswerRating]) -> list[RatedAnswer]:
    ids = [each.message_id for each in ratings]
    if not ids:
        return []
    exchanges = {
        answer.id: (question, answer) for question, answer in await feedback_repository.exchanges(session, ids)
    }
    cited = await repository.shown_citations(session, ids)
    return [
        RatedAnswer(
            rating,
            *exchanges[rating.message_id],
            [each for each in cited if each.message_id == rating.message_id],
        )
        for rating in ratings
        if rating.message_id in exchanges
    ]
