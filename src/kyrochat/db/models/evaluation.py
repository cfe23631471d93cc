"""Tables of evaluation: questions with what they should find, and what bots found."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Double, ForeignKey, Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import json_list, key, moment, now, one_of, owned_by, text_, uuid_
from kyrochat.db.states import EvaluationStatus


def _json_object() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default="{}"))


class QuestionSet(SQLModel, table=True):
    """Questions by which a bot is measured."""

    __tablename__ = "question_sets"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="question_sets_id_workspace_id_key"),
        owned_by("bots", "bot_id", name="question_sets_bot_fkey"),
        Index("question_sets_bot_id_id_idx", "bot_id", "id"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    name: str = text_()
    created_at: datetime = now()


class EvaluationQuestion(SQLModel, table=True):
    """A question of a set. Documents are titles, addresses or ids of rows; without any and without quotes, nothing
    should be found.
    """

    __tablename__ = "evaluation_questions"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="evaluation_questions_id_workspace_id_key"),
        owned_by("question_sets", "question_set_id", name="evaluation_questions_set_fkey"),
        Index("evaluation_questions_question_set_id_id_idx", "question_set_id", "id"),
        Index("evaluation_questions_asked_by_idx", "asked_by", postgresql_where=text("asked_by IS NOT NULL")),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    question_set_id: UUID = uuid_()
    text: str = text_()
    documents: list[str] = json_list()
    quotes: list[str] = json_list()
    # Somebody's words, from a conversation: they go when the person's account does.
    asked_by: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=True)
    )


class Evaluation(SQLModel, table=True):
    """A bot asked all questions of a set, with the settings that were wanted. `used` is what these came to."""

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="evaluations_id_workspace_id_key"),
        owned_by("bots", "bot_id", name="evaluations_bot_fkey"),
        owned_by("question_sets", "question_set_id", name="evaluations_set_fkey"),
        Index("evaluations_bot_id_id_idx", "bot_id", "id"),
        Index("evaluations_question_set_id_idx", "question_set_id"),
        Index("evaluations_unfinished_idx", "workspace_id", postgresql_where=text("status IN ('QUEUED', 'RUNNING')")),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    question_set_id: UUID = uuid_()
    name: str = text_()
    status: EvaluationStatus = one_of(EvaluationStatus.QUEUED)
    failure: str | None = text_(None)
    wanted: dict[str, Any] = _json_object()
    used: dict[str, Any] = _json_object()
    question_count: int = Field(default=0)
    done_count: int = Field(default=0)
    # Documents that questions name and the bot does not have.
    unknown: list[str] = json_list()
    figures: dict[str, Any] = _json_object()
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)
    completed_at: datetime | None = moment()


class EvaluationResult(SQLModel, table=True):
    """What became of one question. `ranking` has ids of documents, scores, and which needs each place meets; no words
    of documents, so nothing of one that is deleted stays here.
    """

    __tablename__ = "evaluation_results"
    __table_args__ = (
        UniqueConstraint("evaluation_id", "question_id", name="evaluation_results_evaluation_id_question_id_key"),
        owned_by("evaluations", "evaluation_id", name="evaluation_results_evaluation_fkey"),
        owned_by("evaluation_questions", "question_id", name="evaluation_results_question_fkey"),
        Index("evaluation_results_evaluation_id_id_idx", "evaluation_id", "id"),
        Index("evaluation_results_question_id_idx", "question_id"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    evaluation_id: UUID = uuid_()
    question_id: UUID = uuid_()
    ranking: list[Any] = json_list()
    measures: dict[str, Any] = _json_object()
    milliseconds: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    degraded: bool = Field(default=False)
