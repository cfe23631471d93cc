"""Tables of conversations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import json_list, key, maybe_one_of, moment, new_id, now, one_of, owned_by, text_, uuid_
from kyrochat.db.states import FinishReason, MessageRole, MessageStatus, TitleOrigin


class Conversation(SQLModel, table=True):
    """Questions of one user to one bot, and the answers.

    A public one was begun with a key that is in the source of a web page: whoever has its id may read it.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="conversations_id_workspace_id_key"),
        owned_by("bots", "bot_id", name="conversations_bot_fkey"),
        Index("conversations_bot_id_user_id_id_idx", "bot_id", "user_id", "id"),
        Index("conversations_user_id_recency_idx", "user_id", "recency"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    is_public: bool = Field(default=False)
    title: str = text_()
    # The last message of the branch that is shown. No foreign key: messages go with their conversation only, and
    # tables in a circle cannot be read or restored in an order.
    active_leaf_id: UUID | None = uuid_(nullable=True)
    title_origin: TitleOrigin = Field(
        default=TitleOrigin.DERIVED,
        sa_column=Column(
            Enum(TitleOrigin, native_enum=False, length=16, create_constraint=False),
            nullable=False,
            server_default=TitleOrigin.DERIVED.value,
        ),
    )
    # A UUIDv7 of the moment when something was asked last: it orders lists, and is a cursor, as no two are alike.
    recency: UUID = Field(
        default_factory=new_id, sa_column=Column(Uuid, nullable=False, server_default=text("gen_random_uuid()"))
    )
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)


class Message(SQLModel, table=True):
    """A question or an answer, in a tree by `parent_id`.

    `position` counts from 1 in its conversation, in the order of writing, over all branches and without gaps: it
    grows along each branch.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="messages_id_workspace_id_key"),
        UniqueConstraint("conversation_id", "position", name="messages_conversation_id_position_key"),
        UniqueConstraint("conversation_id", "idempotency_key", name="messages_idempotency_key"),
        owned_by("conversations", "conversation_id", name="messages_conversation_fkey"),
        ForeignKeyConstraint(
            ["parent_id", "workspace_id"],
            ["messages.id", "messages.workspace_id"],
            ondelete="CASCADE",
            name="messages_parent_fkey",
        ),
        ForeignKeyConstraint(
            ["api_key_id", "workspace_id"],
            ["api_keys.id", "api_keys.workspace_id"],
            ondelete="SET NULL (api_key_id)",
            name="messages_api_key_fkey",
        ),
        Index("messages_parent_id_idx", "parent_id"),
        Index("messages_first_idx", "conversation_id", postgresql_where=text("parent_id IS NULL")),
        Index("messages_api_key_id_idx", "api_key_id", postgresql_where=text("api_key_id IS NOT NULL")),
        Index("messages_compact_log_at_idx", "compact_log_at", postgresql_where=text("compact_log_at IS NOT NULL")),
        Index("messages_transcript_idx", "transcript", postgresql_where=text("transcript IS NOT NULL")),
        Index("messages_streaming_idx", "conversation_id", postgresql_where=text("status = 'STREAMING'")),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    conversation_id: UUID = uuid_()
    parent_id: UUID | None = uuid_(nullable=True)
    position: int
    role: MessageRole = one_of(MessageRole.USER)
    status: MessageStatus = one_of(MessageStatus.COMPLETED)
    text: str = text_()
    grounded: bool | None = None
    model: str | None = text_(None)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    # The next three are known of answers that their writer has ended.
    finish_reason: FinishReason | None = maybe_one_of(FinishReason)
    history_trimmed: bool | None = None
    removed_citations: int | None = None
    # What one could ask next, after answers of bots that suggest that.
    follow_ups: list[str] = json_list()
    # Set on answers that a key asked for: its budget pays.
    api_key_id: UUID | None = uuid_(nullable=True)
    # The hash of all that was said up to here, for clients that send it instead of an id.
    transcript: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    # Set on questions: which documents their answers may be from, as JSON of a `DocumentFilter`.
    document_filter: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    # One key, one exchange: set on its question, or on an answer that was asked for once more.
    idempotency_key: str | None = text_(None)
    # Set on answers that have ended, until their log is compacted.
    compact_log_at: datetime | None = moment()
    created_at: datetime = now()


class AnswerEvent(SQLModel, table=True):
    """One event of an answer's log. Sequences of a message are 1, 2, 3 ... without gaps.

    When the log was compacted a text's row stands for those before it too: `data` has the `first` one's sequence, and
    the `lengths` of all in characters.
    """

    __tablename__ = "answer_events"
    __table_args__ = (owned_by("messages", "message_id", name="answer_events_message_fkey"),)

    message_id: UUID = uuid_(primary=True)
    sequence: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    data: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class AnswerSearch(SQLModel, table=True):
    """One search that an answer was made from: number `place` of the event that has its passages."""

    __tablename__ = "answer_searches"
    __table_args__ = (owned_by("messages", "message_id", name="answer_searches_message_fkey"),)

    message_id: UUID = uuid_(primary=True)
    sequence: int = Field(primary_key=True)
    place: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    trace: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class AnswerLease(SQLModel, table=True):
    """Which process writes an answer, and until when it must have renewed that.

    Like jobs it holds ids only and no row-level security: any process sweeps what a dead one left behind.
    """

    __tablename__ = "answer_leases"
    __table_args__ = (
        owned_by("messages", "message_id", name="answer_leases_message_fkey"),
        Index("answer_leases_leased_until_idx", "leased_until"),
    )

    message_id: UUID = uuid_(primary=True)
    workspace_id: UUID = uuid_()
    token: UUID = uuid_()
    leased_until: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class Citation(SQLModel, table=True):
    """Marker [number] of an answer. The quote outlives its document; `document_id` is then null."""

    __tablename__ = "citations"
    __table_args__ = (
        owned_by("messages", "message_id", name="citations_message_fkey"),
        ForeignKeyConstraint(
            ["document_id", "workspace_id"],
            ["documents.id", "documents.workspace_id"],
            ondelete="SET NULL (document_id)",
            name="citations_document_fkey",
        ),
        Index("citations_document_id_idx", "document_id"),
    )

    message_id: UUID = uuid_(primary=True)
    number: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    document_id: UUID | None = uuid_(nullable=True)
    document_title: str = text_()
    document_version: int
    start: int = Field(sa_column=Column("start", Integer, nullable=False))
    end: int = Field(sa_column=Column("end", Integer, nullable=False))
    quote: str = text_()
    page: int | None = None
