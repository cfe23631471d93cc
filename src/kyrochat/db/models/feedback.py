"""What users think of answers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, UniqueConstraint, Uuid
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import key, now, one_of, owned_by, text_, uuid_
from kyrochat.db.states import Rating


class AnswerRating(SQLModel, table=True):
    """One user's opinion of one answer. It goes with the answer, with the user and with the bot."""

    __tablename__ = "answer_ratings"
    __table_args__ = (
        UniqueConstraint("message_id", "user_id", name="answer_ratings_message_id_user_id_key"),
        owned_by("messages", "message_id", name="answer_ratings_message_fkey"),
        owned_by("bots", "bot_id", name="answer_ratings_bot_fkey"),
        Index("answer_ratings_bot_id_id_idx", "bot_id", "id"),
        Index("answer_ratings_user_id_idx", "user_id"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    message_id: UUID = uuid_()
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    rating: Rating = one_of(Rating.UP)
    comment: str = text_()
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)
