"""The table of the work queue."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import key, moment, now, one_of, text_, uuid_
from kyrochat.db.states import JobState


class Job(SQLModel, table=True):
    """Work to be done, claimed under a lease. Rows hold ids only, never content.

    `workspace_id` is whose turn it takes, and no foreign key: the job that removes a workspace outlives its row, until
    it has verified that nothing is left. One that removes an account takes the account's id.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "jobs_dedupe_key",
            "dedupe_key",
            unique=True,
            postgresql_where=text("state IN ('QUEUED', 'RUNNING')"),
        ),
        Index(
            "jobs_queued_idx",
            "workspace_id",
            text("priority DESC"),
            "id",
            postgresql_where=text("state = 'QUEUED'"),
        ),
        Index("jobs_running_idx", "leased_until", postgresql_where=text("state = 'RUNNING'")),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    kind: str = text_()
    payload: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
    state: JobState = one_of(JobState.QUEUED)
    priority: int = Field(default=0)
    run_at: datetime = now()
    attempts: int = Field(default=0)
    max_attempts: int = Field(default=5)
    lease_token: UUID | None = uuid_(nullable=True)
    leased_until: datetime | None = moment()
    dedupe_key: str | None = text_(None)
    last_error: str | None = text_(None)
    created_at: datetime = now()
