"""What was measured of a bot of the scene."""

from datetime import UTC, datetime
from typing import Any

from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Document, Evaluation, EvaluationQuestion, QuestionSet
from kyrochat.db.states import EvaluationStatus
from kyrochat.evaluation.scoring import score, summary
from kyrochat.evaluation.stored import question_of, result_row, used_json
from kyrochat.evaluation.types import Answered, Hit
from kyrochat.graphql.ids import global_id
from kyrochat.retrieval.search_settings import UsedSettings
from tests.access.cast import Things


async def add_evaluations(database: Database, of_bot: dict[str, Any], document: Document, word: str) -> Things:
    """Add a set of questions, and two evaluations with it that found the document at different places."""
    made = QuestionSet(**of_bot, name=f"About the {word}")
    evaluations = [
        Evaluation(
            **of_bot,
            id=new_id(),
            question_set_id=made.id,
            name=f"{word} {number}",
            status=EvaluationStatus.COMPLETED,
            failure=f"The {word} had flown.",
            used=used_json(UsedSettings(top_k=8)),
            question_count=2,
            done_count=2,
            unknown=[f"The {word}'s diary"],
            completed_at=datetime.now(UTC),
        )
        for number in (1, 2)
    ]
    of_set = {"workspace_id": of_bot["workspace_id"], "question_set_id": made.id}
    questions = [
        EvaluationQuestion(
            **of_set,
            id=new_id(),
            text=f"Where does the {word} sleep?",
            documents=[document.title, f"The {word}'s diary"],
            quotes=[f"The {word} sleeps in the bank"],
        ),
        EvaluationQuestion(**of_set, id=new_id(), text=f"Who is the {word}'s friend?"),
    ]
    async with database.begin([of_bot["workspace_id"]]) as session:
        session.add(made)
        await session.flush()
        session.add_all([*evaluations, *questions])
        await session.flush()
        right, wrong = f"The {word} sleeps in the bank of the river.", "It is blue."
        for evaluation, texts in zip(evaluations, ([right, wrong], [wrong, right]), strict=True):
            hits = tuple(Hit(str(document.id), document.title, text, 0.5) for text in texts)
            scored = [score(question_of(question), Answered(hits, 2.0)) for question in reversed(questions)]
            evaluation.figures = summary(scored)
            session.add(evaluation)
            # The one with a ranking to see is the newer one, which lists of one show.
            session.add_all(
                result_row(evaluation, question.id, each)
                for question, each in zip(reversed(questions), scored, strict=True)
            )
    first, second = evaluations
    return {
        "QuestionSet": global_id("QuestionSet", made.id),
        "Evaluation": global_id("Evaluation", first.id),
        "OtherEvaluation": global_id("Evaluation", second.id),
    }
