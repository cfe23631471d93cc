"""What users show to whoever has a link."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import key, moment, now, owned_by, text_, uuid_


class ConversationShare(SQLModel, table=True):
    """A link to a conversation as it was: the branch up to a message that has ended, under the title of that time.

    Only the hash of the link's token is stored.
    """

    __tablename__ = "conversation_shares"
    __table_args__ = (
        UniqueConstraint("token_hash", name="conversation_shares_token_hash_key"),
        owned_by("conversations", "conversation_id", name="conversation_shares_conversation_fkey"),
        owned_by("messages", "leaf_id", name="conversation_shares_leaf_fkey"),
        Index("conversation_shares_conversation_id_id_idx", "conversation_id", "id"),
        Index("conversation_shares_leaf_id_idx", "leaf_id"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    conversation_id: UUID = uuid_()
    leaf_id: UUID = uuid_()
    title: str = text_()
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = now()
    # Null: as long as the conversation is there.
    expires_at: datetime | None = moment()
