"""A bot with questions about it: the real services over one database, worked by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import AnswerRating, Bot, Citation, Conversation, Evaluation, Message, QuestionSet
from kyrochat.db.states import MessageRole, Rating
from kyrochat.evaluation.question_sets import NewQuestion, QuestionSetService
from kyrochat.evaluation.running import EvaluationRun
from kyrochat.evaluation.service import EVALUATE, EvaluationService
from kyrochat.evaluation.stored import question_of
from kyrochat.evaluation.types import Question
from kyrochat.jobs.queue import ClaimedJob
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search_settings import SearchSettings
from tests.documents.scene import Library

QUESTIONS = (
    NewQuestion("What has ducks?", documents=["pond"]),
    NewQuestion("What has geese?", quotes=["a lake has geese"]),
    NewQuestion("Who won the cup?"),
)
AS_IT_IS = SearchSettings()


@dataclass(frozen=True)
class Lab:
    """Everything below the API that evaluation needs."""

    scene: Library
    changes: Changes

    @property
    def database(self) -> Database:
        return self.scene.database

    @property
    def sets(self) -> QuestionSetService:
        return QuestionSetService(self.database)

    @property
    def evaluations(self) -> EvaluationService:
        return EvaluationService(self.database, self.changes)

    async def run(self, changes: Changes | None = None) -> None:
        """Do the evaluation jobs that are queued."""
        for job in await self.claim():
            await self.handler(changes)(job)
            await self.scene.end(job)

    async def claim(self) -> list[ClaimedJob]:
        return await self.scene.claim(EVALUATE)

    def handler(self, changes: Changes | None = None) -> EvaluationRun:
        database = self.scene.worker_database
        return EvaluationRun(database, changes or self.changes, Retriever(database))

    async def start(self, viewer: Viewer, asked: QuestionSet, settings: SearchSettings = AS_IT_IS) -> Evaluation:
        return await self.evaluations.start(viewer, asked.id, None, "", settings)

    async def evaluate(
        self,
        viewer: Viewer,
        bot: Bot,
        questions: Sequence[NewQuestion] = QUESTIONS,
        settings: SearchSettings = AS_IT_IS,
    ) -> Evaluation:
        """Ask a new set of questions, and return the evaluation when it is over."""
        asked = await self.sets.create(viewer, bot.id, "Set", questions)
        started = await self.start(viewer, asked, settings)
        await self.run()
        return await self.found(viewer, started.id)

    async def found(self, viewer: Viewer, evaluation_id: UUID) -> Evaluation:
        [row] = await self.evaluations.many(viewer, [evaluation_id])
        return row

    async def questions(self, viewer: Viewer, asked: QuestionSet) -> list[Question]:
        """The questions of a set, in the order in which they were added."""
        page = await self.sets.questions_of(viewer, asked, PageRequest(100))
        return [question_of(row) for row in reversed(page.rows)]

    async def left(self, viewer: Viewer) -> dict[str, int]:
        """How many rows of evaluation there are, by table."""
        tables = ("question_sets", "evaluation_questions", "evaluations", "evaluation_results")
        counts = {}
        for table in tables:
            [(counts[table],)] = await self.scene.run(f"SELECT count(*) FROM {table}", *viewer.workspaces)
        return {table: number for table, number in counts.items() if number}


async def add_rated(
    database: Database,
    bot: Bot,
    user_id: UUID,
    text: str,
    documents: Sequence[UUID],
    rating: Rating | None = Rating.UP,
    *,
    is_public: bool = False,
) -> None:
    """Add a question with an answer that cites documents, and what the user thinks of it."""
    of: dict[str, Any] = {"workspace_id": bot.workspace_id}
    async with database.begin([bot.workspace_id]) as session:
        conversation = Conversation(**of, bot_id=bot.id, user_id=user_id, is_public=is_public)
        session.add(conversation)
        await session.flush()
        question = Message(**of, conversation_id=conversation.id, position=1, text=text)
        session.add(question)
        await session.flush()
        answer = Message(
            **of,
            conversation_id=conversation.id,
            parent_id=question.id,
            position=2,
            role=MessageRole.ASSISTANT,
            text="!",
        )
        session.add(answer)
        await session.flush()
        session.add_all(
            Citation(
                **of,
                message_id=answer.id,
                number=number,
                document_id=document_id,
                document_title="",
                document_version=1,
                start=0,
                end=1,
            )
            for number, document_id in enumerate(documents, start=1)
        )
        if rating is not None:
            session.add(AnswerRating(**of, bot_id=bot.id, message_id=answer.id, user_id=user_id, rating=rating))
