"""Use cases of question sets: questions by which bots are measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Bot, EvaluationQuestion, QuestionSet
from kyrochat.db.tenancy import Reach
from kyrochat.errors import InvalidInput, QuotaExceeded
from kyrochat.evaluation import repository
from kyrochat.evaluation.access import bot_to_evaluate, check_all, readable, set_to_ask, set_to_change
from kyrochat.evaluation.rated import rated_questions
from kyrochat.rules import Rules

MAX_NAME_CHARS = 100
MAX_SETS = 50
MAX_QUESTIONS = 2_000
MAX_QUESTION_CHARS = 4_000
MAX_NEEDS = 20
MAX_NEED_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class NewQuestion:
    """A question for a set: see `types.Question`."""

    text: str
    documents: Sequence[str] = ()
    quotes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class QuestionSetService:
    """What can be done with question sets. All of it takes the act EVALUATE."""

    database: Database

    async def create(self, viewer: Viewer, bot_id: UUID, name: str, questions: Sequence[NewQuestion]) -> QuestionSet:
        """Store a set of questions for a bot.

        Raises:
            InvalidInput: the name or a question breaks a rule.
            NotFound, Forbidden: the viewer has no such bot, or may not evaluate it.
            QuotaExceeded: the bot has too many sets.
        """
        rules = Rules()
        name = rules.text("name", name, max_chars=MAX_NAME_CHARS, min_chars=1)
        checked = _checked(rules, questions)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            bot = await bot_to_evaluate(session, viewer, bot_id)
            made = await new_set(session, bot, name)
            add_questions(session, made, checked)
            return made

    async def create_from_ratings(self, viewer: Viewer, bot_id: UUID, name: str) -> QuestionSet:
        """Store a set of what users asked a bot and found well answered: the documents cited are what should be found.

        Of questions that were asked word by word before, the last one counts. Answers whose documents are gone, and
        conversations with a key that is in a web page, are left out.

        Raises:
            InvalidInput: the name breaks a rule, or there is no such answer.
            NotFound, Forbidden, QuotaExceeded: as for `create`.
        """
        rules = Rules()
        name = rules.text("name", name, max_chars=MAX_NAME_CHARS, min_chars=1)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            bot = await bot_to_evaluate(session, viewer, bot_id)
            rated = await rated_questions(session, bot.id, MAX_QUESTIONS)
            if not rated:
                raise InvalidInput.at("botId", "No answer of this bot that cites a document is rated UP.")
            made = await new_set(session, bot, name)
            session.add_all(
                EvaluationQuestion(
                    id=new_id(),
                    workspace_id=made.workspace_id,
                    question_set_id=made.id,
                    text=each.text[:MAX_QUESTION_CHARS],
                    documents=[str(document_id) for document_id in each.document_ids[:MAX_NEEDS]],
                    asked_by=each.asked_by,
                )
                for each in rated
            )
            return made

    async def add_questions(self, viewer: Viewer, set_id: UUID, questions: Sequence[NewQuestion]) -> QuestionSet:
        """Add questions to a set; evaluations that are over stay as they are.

        Raises:
            InvalidInput, NotFound, Forbidden: as for `create`.
            QuotaExceeded: the set has too many questions.
        """
        rules = Rules()
        checked = _checked(rules, questions)
        rules.enforce()
        async with self.database.begin(viewer.workspaces) as session:
            found = await set_to_ask(session, viewer, set_id)
            await repository.lock_limits(session, found.workspace_id)
            count = (await repository.count_questions(session, [found.id])).get(found.id, 0)
            if count + len(checked) > MAX_QUESTIONS:
                raise QuotaExceeded(f"A set has at most {MAX_QUESTIONS:,} questions; this one has {count:,}.")
            add_questions(session, found, checked)
            return found

    async def delete(self, viewer: Viewer, set_id: UUID) -> None:
        """Delete a set, with the evaluations that asked it; one that runs ends.

        Raises:
            NotFound, Forbidden: the viewer has no such set, or may not evaluate its bot.
        """
        async with self.database.begin(viewer.workspaces) as session:
            found = await set_to_change(session, viewer, set_id)
            await repository.delete_set(session, found.id)

    async def many(self, viewer: Viewer, set_ids: Sequence[UUID]) -> Sequence[QuestionSet]:
        """Return those of the sets that the viewer has, in no order.

        Raises:
            Forbidden: he has one, and may not evaluate its bot.
        """
        viewer.must(Act.EVALUATE)
        async with self.database.begin(viewer.workspaces) as session:
            found = await repository.question_sets(session, set_ids, reach=viewer.reach)
        check_all(viewer, found)
        return found

    async def of_bot(self, viewer: Viewer, bot_id: UUID, request: PageRequest) -> Page[QuestionSet]:
        """Return one page of a bot's sets, newest first; none if the viewer has no such bot.

        Raises:
            Forbidden: he may not evaluate it.
        """
        async with self.database.begin(viewer.workspaces) as session:
            reach = await readable(session, viewer, bot_id)
            return await repository.sets_of(session, bot_id, request, reach=reach)

    async def count(self, viewer: Viewer, bot_id: UUID) -> int:
        """Return how many sets `of_bot` leads through."""
        async with self.database.begin(viewer.workspaces) as session:
            reach = await readable(session, viewer, bot_id)
            return await repository.count_sets(session, bot_id, reach=reach)

    async def questions_of(self, viewer: Viewer, asked: QuestionSet, request: PageRequest) -> Page[EvaluationQuestion]:
        """Return one page of a set's questions, the last added first."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.questions_of(session, asked.id, request)

    async def count_questions(self, viewer: Viewer, set_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return how many questions each set has; sets without any are missing."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.count_questions(session, set_ids)


async def new_set(session: AsyncSession, bot: Bot, name: str) -> QuestionSet:
    """Add an empty set to a bot.

    Raises:
        QuotaExceeded: the bot has too many.
    """
    await repository.lock_limits(session, bot.workspace_id)
    if await repository.count_sets(session, bot.id, reach=Reach.of(bot.workspace_id)) >= MAX_SETS:
        raise QuotaExceeded(f"A bot has at most {MAX_SETS} question sets. Delete one that is not needed.")
    made = QuestionSet(id=new_id(), workspace_id=bot.workspace_id, bot_id=bot.id, name=name)
    session.add(made)
    await session.flush()
    await session.refresh(made)
    return made


def add_questions(session: AsyncSession, asked: QuestionSet, questions: Sequence[NewQuestion]) -> None:
    """Add questions to a set, in this order."""
    session.add_all(
        EvaluationQuestion(
            id=new_id(),
            workspace_id=asked.workspace_id,
            question_set_id=asked.id,
            text=question.text,
            documents=list(question.documents),
            quotes=list(question.quotes),
        )
        for question in questions
    )


def _checked(rules: Rules, questions: Sequence[NewQuestion]) -> list[NewQuestion]:
    if not 1 <= len(questions) <= MAX_QUESTIONS:
        rules.add("questions", f"There are {len(questions):,}; 1 to {MAX_QUESTIONS:,} are allowed.")
    return [
        NewQuestion(
            rules.text("questions", question.text, max_chars=MAX_QUESTION_CHARS, min_chars=1),
            _needs(rules, question.documents),
            _needs(rules, question.quotes),
        )
        for question in questions[:MAX_QUESTIONS]
    ]


def _needs(rules: Rules, needs: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(rules.texts("questions", needs, most=MAX_NEEDS, max_chars=MAX_NEED_CHARS)))
