"""Questions and results between rows and values."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from kyrochat.db.columns import new_id
from kyrochat.db.models import Evaluation, EvaluationQuestion, EvaluationResult
from kyrochat.evaluation.types import Found, Question, Scored
from kyrochat.retrieval.search_settings import SearchSettings, UsedSettings

_WANTED = TypeAdapter(SearchSettings)
_USED = TypeAdapter(UsedSettings)


def question_of(row: EvaluationQuestion) -> Question:
    """Return the question of a row."""
    return Question(str(row.id), row.text, tuple(row.documents), tuple(row.quotes))


def result_row(evaluation: Evaluation, question_id: UUID, scored: Scored) -> EvaluationResult:
    """Return the row of a result. Of documents only ids are kept, and of needs their numbers."""
    numbers = {need: number for number, need in enumerate(scored.question.needs)}
    return EvaluationResult(
        id=new_id(),
        workspace_id=evaluation.workspace_id,
        evaluation_id=evaluation.id,
        question_id=question_id,
        ranking=[[found.document, found.score, [numbers[need] for need in found.met]] for found in scored.ranking],
        measures=dict(scored.measures),
        milliseconds=scored.milliseconds,
        degraded=bool(scored.degraded),
    )


def scored_of(row: EvaluationResult, question: EvaluationQuestion) -> Scored:
    """Return the result of a row; titles of documents are not in it."""
    asked = question_of(question)
    places = tuple(
        Found(document, "", score, tuple(asked.needs[number] for number in met)) for document, score, met in row.ranking
    )
    return Scored(asked, places, row.measures, row.milliseconds, row.degraded)


def scored_all(pairs: Sequence[tuple[EvaluationResult, EvaluationQuestion]]) -> list[Scored]:
    """Return the results of rows."""
    return [scored_of(row, question) for row, question in pairs]


def wanted_json(settings: SearchSettings) -> dict[str, Any]:
    """Return settings as JSON, without what is as the bot has it."""
    plain: dict[str, Any] = _WANTED.dump_python(settings, mode="json", exclude_defaults=True)
    return plain


def wanted_of(data: dict[str, Any]) -> SearchSettings:
    """Return what `wanted_json` made JSON of."""
    return _WANTED.validate_python(data)


def used_json(settings: UsedSettings) -> dict[str, Any]:
    """Return the settings that were used as JSON."""
    plain: dict[str, Any] = _USED.dump_python(settings, mode="json")
    return plain


def used_of(data: dict[str, Any]) -> UsedSettings | None:
    """Return what `used_json` made JSON of; None of nothing."""
    return _USED.validate_python(data) if data else None
