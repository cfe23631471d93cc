"""Ratings: one a user and answer, his to change, and shown to those who manage the bot without his name."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete
from sqlmodel import col

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.feedback import FeedbackService, NotEnded, RatedAnswer, Wanted
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Conversation
from kyrochat.db.states import Rating, WorkspaceRole
from kyrochat.errors import Forbidden, InvalidInput, NotFound
from tests.chat.scene import HANDBOOK, Chat
from tests.chat.scripted_model import Pause
from tests.factories import make_viewer
from tests.jobs.scene import until

ALL, PAGE = Wanted(), PageRequest(10)


@pytest.fixture
def feedback(chat: Chat) -> FeedbackService:
    chat.model.script = ["The queen lays 2,000 eggs a day [1]."]
    return FeedbackService(chat.database)


async def _member(chat: Chat, email: str, role: WorkspaceRole) -> Viewer:
    own = await make_viewer(chat.database, email)
    return Viewer(own.user_id, None, {**own.workspaces, chat.bot.workspace_id: role}, own.default_workspace_id)


async def test_a_rating_shows_what_was_asked_answered_and_cited(chat: Chat, feedback: FeedbackService) -> None:
    answer, _ = await chat.answer("How many eggs?")

    rated = await feedback.rate(chat.viewer, answer.id, Rating.DOWN, " Too few. ")

    assert rated.id == answer.id
    (found,) = (await feedback.page(chat.viewer, chat.bot, PAGE, ALL)).rows
    assert (found.rating.rating, found.rating.comment) == (Rating.DOWN, "Too few.")
    assert (found.question.text, found.answer.id) == ("How many eggs?", answer.id)
    (citation,) = found.citations
    assert citation.document_id == chat.document.id
    assert citation.quote in HANDBOOK
    assert _in_short(await feedback.of_messages(chat.viewer, [answer.id])) == [(Rating.DOWN, "Too few.")]


async def test_a_rating_is_changed_and_taken_back(chat: Chat, feedback: FeedbackService) -> None:
    answer, _ = await chat.answer()
    await feedback.rate(chat.viewer, answer.id, Rating.DOWN, "No.")
    await feedback.rate(chat.viewer, answer.id, Rating.UP)
    assert _in_short((await feedback.page(chat.viewer, chat.bot, PAGE, ALL)).rows) == [(Rating.UP, "")]
    assert await feedback.count(chat.viewer, chat.bot, ALL) == 1

    for _ in range(2):
        assert (await feedback.take_back(chat.viewer, answer.id)).id == answer.id

    assert (await feedback.page(chat.viewer, chat.bot, PAGE, ALL)).rows == []
    assert await feedback.of_messages(chat.viewer, [answer.id]) == []
    assert await feedback.count(chat.viewer, chat.bot, ALL) == 0


async def test_an_answer_that_is_deleted_while_it_is_rated_is_not_found(chat: Chat, feedback: FeedbackService) -> None:
    answer, _ = await chat.answer()
    async with chat.database.begin(chat.viewer.workspaces) as session:
        await session.exec(delete(Conversation).where(col(Conversation.id) == answer.conversation_id))
        rating = asyncio.create_task(feedback.rate(chat.viewer, answer.id, Rating.UP))
        await until(lambda: chat.some("SELECT FROM pg_locks WHERE NOT granted"))

    with pytest.raises(NotFound):
        await rating


async def test_ratings_are_found_by_what_they_say_and_since_when(chat: Chat, feedback: FeedbackService) -> None:
    answers = [(await chat.answer(f"Question {number}"))[0] for number in range(3)]
    for answer, rating in zip(answers, (Rating.UP, Rating.DOWN, Rating.UP), strict=True):
        await feedback.rate(chat.viewer, answer.id, rating)
    await chat.run(
        "UPDATE answer_ratings SET updated_at = now() - interval '1 day'"
        f" WHERE message_id IN ('{answers[0].id}', '{answers[1].id}')"
    )
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)

    async def listed(wanted: Wanted) -> list[str]:
        page = await feedback.page(chat.viewer, chat.bot, PAGE, wanted)
        assert await feedback.count(chat.viewer, chat.bot, wanted) == len(page.rows)
        return [row.question.text for row in page.rows]

    assert await listed(ALL) == ["Question 2", "Question 1", "Question 0"]
    assert await listed(Wanted(Rating.UP)) == ["Question 2", "Question 0"]
    assert await listed(Wanted(Rating.DOWN)) == ["Question 1"]
    assert await listed(Wanted(since=an_hour_ago)) == ["Question 2"]
    assert await listed(Wanted(Rating.DOWN, an_hour_ago)) == []
    # One without a zone is in UTC.
    assert await listed(Wanted(since=an_hour_ago.replace(tzinfo=None))) == ["Question 2"]
    # What is rated anew is news.
    await feedback.rate(chat.viewer, answers[0].id, Rating.DOWN)
    assert await listed(Wanted(since=an_hour_ago)) == ["Question 2", "Question 0"]
    with pytest.raises(InvalidInput):
        await listed(Wanted(since=datetime(1, 1, 1)))  # noqa: DTZ001 (as a client may send it)
    page = await feedback.page(chat.viewer, chat.bot, PageRequest(2), ALL)
    rest = await feedback.page(chat.viewer, chat.bot, PageRequest(2, after=page.rows[-1].id), ALL)
    assert [row.question.text for row in (*page.rows, *rest.rows)] == ["Question 2", "Question 1", "Question 0"]


async def test_who_manages_the_bot_reads_what_others_think_and_members_who_do_not_are_refused(
    chat: Chat, feedback: FeedbackService
) -> None:
    answer, _ = await chat.answer("How many eggs?")
    await feedback.rate(chat.viewer, answer.id, Rating.UP)

    editor = await _member(chat, "ed@example.com", WorkspaceRole.EDITOR)
    (found,) = (await feedback.page(editor, chat.bot, PAGE, ALL)).rows
    assert found.question.text == "How many eggs?"
    # He reads it here, and nowhere else.
    assert list(await chat.a.service.messages(editor, [answer.id])) == []
    looker = await _member(chat, "lou@example.com", WorkspaceRole.VIEWER)
    with pytest.raises(Forbidden):
        await feedback.page(looker, chat.bot, PAGE, ALL)
    with pytest.raises(Forbidden):
        await feedback.count(looker, chat.bot, ALL)
    stranger = await make_viewer(chat.database, "eve@example.com")
    with pytest.raises(NotFound):
        await feedback.page(stranger, chat.bot, PAGE, ALL)


async def test_what_is_somebody_elses_cannot_be_rated_and_looks_like_what_is_not_there(
    chat: Chat, feedback: FeedbackService
) -> None:
    answer, _ = await chat.answer()
    await feedback.rate(chat.viewer, answer.id, Rating.UP, "Mine.")
    others = [
        await make_viewer(chat.database, "eve@example.com"),
        await _member(chat, "ed@example.com", WorkspaceRole.OWNER),
    ]

    for other in others:
        for message_id in (answer.id, uuid4()):
            with pytest.raises(NotFound, match="no such answer"):
                await feedback.rate(other, message_id, Rating.DOWN)
            with pytest.raises(NotFound, match="no such answer"):
                await feedback.take_back(other, message_id)
        assert await feedback.of_messages(other, [answer.id]) == []
    assert _in_short((await feedback.page(chat.viewer, chat.bot, PAGE, ALL)).rows) == [(Rating.UP, "Mine.")]


async def test_questions_and_answers_under_way_are_not_rated(chat: Chat, feedback: FeedbackService) -> None:
    chat.model.script = [Pause()]
    exchange = await chat.ask()

    with pytest.raises(NotEnded):
        await feedback.rate(chat.viewer, exchange.answer.id, Rating.UP)
    with pytest.raises(NotFound):
        await feedback.rate(chat.viewer, exchange.question.id, Rating.UP)
    await chat.a.service.stop(chat.viewer, exchange.answer.id)
    with pytest.raises(InvalidInput):
        await feedback.rate(chat.viewer, exchange.answer.id, Rating.UP, "x" * 4_001)
    assert await feedback.count(chat.viewer, chat.bot, ALL) == 0
    await feedback.rate(chat.viewer, exchange.answer.id, Rating.UP)
    assert await feedback.count(chat.viewer, chat.bot, ALL) == 1


async def test_a_rating_goes_with_its_conversation(chat: Chat, feedback: FeedbackService) -> None:
    answer, _ = await chat.answer()
    await feedback.rate(chat.viewer, answer.id, Rating.UP)

    await chat.a.service.delete(chat.viewer, answer.conversation_id)

    assert await chat.column("SELECT count(*) FROM answer_ratings") == [0]


def _in_short(found: Sequence[RatedAnswer]) -> list[tuple[Rating, str]]:
    return [(each.rating.rating, each.rating.comment) for each in found]
