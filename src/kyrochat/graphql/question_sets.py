"""Sets of questions in the schema."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import UNSET

from kyrochat.db import models
from kyrochat.evaluation.question_sets import NewQuestion
from kyrochat.evaluation.stored import question_of
from kyrochat.evaluation.types import Question
from kyrochat.graphql.bots import Bot, BotId
from kyrochat.graphql.context import Context, Info
from kyrochat.graphql.ids import global_id, row_id, split_id
from kyrochat.graphql.node import Node
from kyrochat.graphql.pagination import After, Before, Connection, First, Last, connection, page_request
from kyrochat.graphql.problems import InvalidInputProblem, NotFoundProblem, QuotaExceededProblem
from kyrochat.graphql.translate import translate

QuestionSetId = Annotated[strawberry.ID, strawberry.argument(description="The id of a question set.")]
DOCUMENTS = "Documents that should be found, by title, address or id; up to 20. With `quotes`, where these must be."
QUOTES = (
    "Words of documents that should be found; up to 20. Without quotes, any passage of a document will do. Without "
    "documents as well, nothing should be found: the documents do not answer the question."
)


@strawberry.type(description="A question of a set, and what should be found for it.")
class EvaluationQuestion:
    """From evaluation.types.Question."""

    text: str = strawberry.field(description="The question.")
    documents: list[str] = strawberry.field(description=DOCUMENTS)
    quotes: list[str] = strawberry.field(description=QUOTES)
    answerable: bool = strawberry.field(description="Whether anything should be found.")

    @classmethod
    def from_value(cls, question: Question) -> "EvaluationQuestion":
        """Translate."""
        return cls(
            text=question.text,
            documents=[_shown(name) for name in question.documents],
            quotes=list(question.quotes),
            answerable=question.is_answerable,
        )


@strawberry.type(description="Questions by which a bot is measured.")
class QuestionSet(Node):
    """From models.QuestionSet."""

    row: strawberry.Private[models.QuestionSet]
    name: str = strawberry.field(description="How it is called.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def from_row(cls, row: models.QuestionSet) -> "QuestionSet":
        """Translate."""
        return cls(id=global_id("QuestionSet", row.id), row=row, name=row.name, created_at=row.created_at)

    @strawberry.field(description="The bot that it was made for.")
    async def bot(self, info: Info) -> Bot:
        """Load."""
        return Bot.from_row(await info.context.bot(self.row.bot_id), info.context)

    @strawberry.field(description="How many questions it has.")
    async def question_count(self, info: Info) -> int:
        """Count."""
        return await info.context.question_counts.load(self.row.id)

    @strawberry.field(description="Its questions, the last added first.")
    async def questions(
        self, info: Info, first: First = 20, after: After = UNSET, last: Last = UNSET, before: Before = UNSET
    ) -> Connection[EvaluationQuestion]:
        """Page."""
        sets, viewer = info.context.services.question_sets, info.context.viewer
        page = await sets.questions_of(viewer, self.row, page_request(first, after, last, before))
        return connection(
            page,
            lambda row: EvaluationQuestion.from_value(question_of(row)),
            lambda: info.context.question_counts.load(self.row.id),
        )


@translate.register
def _(row: models.QuestionSet, context: Context) -> QuestionSet:
    del context
    return QuestionSet.from_row(row)


@strawberry.type(description="A question set that is gone, and the evaluations that asked it as well.")
class DeletedQuestionSet:
    """The answer of `deleteQuestionSet`."""

    id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.input(description="A question for a set, and what should be found for it.")
class QuestionInput:
    """For NewQuestion."""

    text: str = strawberry.field(description="The question, up to 4,000 characters.")
    documents: list[str] | None = strawberry.field(default=UNSET, description=DOCUMENTS)
    quotes: list[str] | None = strawberry.field(default=UNSET, description=QUOTES)

    def value(self) -> NewQuestion:
        """Return it for the service, with ids as rows have them."""
        return NewQuestion(self.text, [_name(each) for each in self.documents or ()], self.quotes or ())


@strawberry.input(description="Questions by which a bot shall be measured.")
class CreateQuestionSetInput:
    """For `createQuestionSet`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot.")
    name: str = strawberry.field(description="How to call it, up to 100 characters.")
    questions: list[QuestionInput] = strawberry.field(
        description="The first ones, up to as many as a request can hold; `addQuestions` adds more."
    )


@strawberry.input(description="A set of what users asked a bot, and found well answered.")
class CreateQuestionSetFromRatingsInput:
    """For `createQuestionSetFromRatings`."""

    bot_id: strawberry.ID = strawberry.field(description="The bot.")
    name: str = strawberry.field(description="How to call it, up to 100 characters.")


@strawberry.input(description="More questions for a set.")
class AddQuestionsInput:
    """For `addQuestions`."""

    question_set_id: strawberry.ID = strawberry.field(description="The set. It holds up to 2,000 questions.")
    questions: list[QuestionInput] = strawberry.field(description="The questions.")


CreateQuestionSetResult = Annotated[
    QuestionSet | InvalidInputProblem | NotFoundProblem | QuotaExceededProblem,
    strawberry.union("CreateQuestionSetResult", description="The set, or why there is none."),
]
AddQuestionsResult = Annotated[
    QuestionSet | InvalidInputProblem | NotFoundProblem | QuotaExceededProblem,
    strawberry.union("AddQuestionsResult", description="The set with the questions, or why they were not added."),
]
DeleteQuestionSetResult = Annotated[
    DeletedQuestionSet | NotFoundProblem,
    strawberry.union("DeleteQuestionSetResult", description="The set is gone, or was not there."),
]


@strawberry.type
class QuestionSetQuery:
    """Queries on question sets."""

    @strawberry.field(description="A question set for a bot of yours, or null.")
    async def question_set(self, info: Info, id: QuestionSetId) -> QuestionSet | None:
        """Load."""
        row = await info.context.question_sets.load(row_id("QuestionSet", id))
        return QuestionSet.from_row(row) if row else None

    @strawberry.field(description="The question sets for a bot, newest first; none if it is not yours.")
    async def question_sets(
        self,
        info: Info,
        bot_id: BotId,
        first: First = 20,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Connection[QuestionSet]:
        """Page."""
        sets, viewer, bot = info.context.services.question_sets, info.context.viewer, row_id("Bot", bot_id)
        page = await sets.of_bot(viewer, bot, page_request(first, after, last, before))
        return connection(page, QuestionSet.from_row, lambda: sets.count(viewer, bot))


@strawberry.type
class QuestionSetMutation:
    """Mutations on question sets."""

    @strawberry.mutation(description="Make a set of questions by which a bot shall be measured: see `startEvaluation`.")
    async def create_question_set(
        self, info: Info, input: Annotated[CreateQuestionSetInput, strawberry.argument(description="The set.")]
    ) -> CreateQuestionSetResult:
        """Create."""
        row = await info.context.services.question_sets.create(
            info.context.viewer, row_id("Bot", input.bot_id), input.name, [each.value() for each in input.questions]
        )
        return QuestionSet.from_row(row)

    @strawberry.mutation(
        description="Make a set of the questions whose answers users rated UP, and not DOWN: the documents that an "
        "answer cites are what should be found. At most 2,000. They go when the account of whoever asked does."
    )
    async def create_question_set_from_ratings(
        self,
        info: Info,
        input: Annotated[CreateQuestionSetFromRatingsInput, strawberry.argument(description="The set.")],
    ) -> CreateQuestionSetResult:
        """Create."""
        row = await info.context.services.question_sets.create_from_ratings(
            info.context.viewer, row_id("Bot", input.bot_id), input.name
        )
        return QuestionSet.from_row(row)

    @strawberry.mutation(description="Add questions to a set. Evaluations that are over stay as they are.")
    async def add_questions(
        self, info: Info, input: Annotated[AddQuestionsInput, strawberry.argument(description="The questions.")]
    ) -> AddQuestionsResult:
        """Add."""
        row = await info.context.services.question_sets.add_questions(
            info.context.viewer,
            row_id("QuestionSet", input.question_set_id),
            [each.value() for each in input.questions],
        )
        return QuestionSet.from_row(row)

    @strawberry.mutation(description="Delete a question set, and the evaluations that asked it as well.")
    async def delete_question_set(self, info: Info, id: QuestionSetId) -> DeleteQuestionSetResult:
        """Delete."""
        await info.context.services.question_sets.delete(info.context.viewer, row_id("QuestionSet", id))
        return DeletedQuestionSet(id=id)


def _name(name: str) -> str:
    """Return a document's name; of one of our ids, the row's."""
    known = split_id(name)
    return str(known[1]) if known is not None and known[0] == "Document" else name


def _shown(name: str) -> str:
    """Return a document's name; of a row's id, ours."""
    try:
        return global_id("Document", UUID(name))
    except ValueError:
        return name
