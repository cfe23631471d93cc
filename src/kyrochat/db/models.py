"""All tables. Ids are UUIDv7 made by the application, so the order of ids is the order of creation.

Every tenant row carries `workspace_id`; foreign keys between tenant rows include it, because foreign key
checks bypass row-level security and a plain key would let one tenant hang a row on another's.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import json_list, key, moment, now, one_of, owned_by, tenant, text_, uuid_
from kyrochat.db.states import (
    DocumentDeletionStatus,
    DocumentSource,
    DocumentStatus,
    JobState,
    MessageRole,
    MessageStatus,
    WorkspaceRole,
)

SPARSE_DIMENSIONS = 1_000_000_000


class User(SQLModel, table=True):
    """A person. `email` is stored in lower case."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email", name="users_email_key"),)

    id: UUID = key()
    email: str = text_()
    name: str = text_()
    password_hash: str = text_()
    is_admin: bool = Field(default=False)
    created_at: datetime = now()


class UserSession(SQLModel, table=True):
    """A sign-in. Only the hash of its current refresh token is stored."""

    __tablename__ = "user_sessions"
    __table_args__ = (
        UniqueConstraint("refresh_hash", name="user_sessions_refresh_hash_key"),
        Index("user_sessions_user_id_idx", "user_id"),
    )

    id: UUID = key()
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    refresh_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = now()
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    revoked_at: datetime | None = moment()


class UsedRefreshToken(SQLModel, table=True):
    """The hash of a refresh token that was exchanged. Whoever brings it again is not the only one who has it."""

    __tablename__ = "used_refresh_tokens"
    __table_args__ = (Index("used_refresh_tokens_session_id_idx", "session_id"),)

    token_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    session_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("user_sessions.id", ondelete="CASCADE"), nullable=False))


class Workspace(SQLModel, table=True):
    """A tenant."""

    __tablename__ = "workspaces"

    id: UUID = key()
    name: str = text_()
    created_at: datetime = now()


class WorkspaceMember(SQLModel, table=True):
    """Who belongs to a workspace, and as what."""

    __tablename__ = "workspace_members"
    __table_args__ = (Index("workspace_members_user_id_idx", "user_id"),)

    workspace_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True)
    )
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True))
    role: WorkspaceRole = one_of(WorkspaceRole.OWNER)
    # The workspace that a registration made, used where an input names none.
    is_personal: bool = Field(default=False)


class Bot(SQLModel, table=True):
    """A persona that answers from its own documents. With `deleted_at` only its purge still sees it."""

    __tablename__ = "bots"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="bots_id_workspace_id_key"),
        Index(
            "bots_workspace_id_name_key",
            "workspace_id",
            text("lower(name)"),
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("bots_workspace_id_id_idx", "workspace_id", "id"),
        CheckConstraint("top_k BETWEEN 1 AND 50", name="bots_top_k_check"),
    )

    id: UUID = key()
    workspace_id: UUID = tenant()
    name: str = text_()
    description: str = text_()
    instructions: str = text_()
    # Empty: the server's default model.
    model: str = text_()
    temperature: float = Field(default=0.2, sa_column=Column(Double, nullable=False))
    top_k: int = Field(default=8)
    greeting: str = text_()
    suggested_questions: list[str] = json_list()
    language: str = Field(default="auto", sa_column=Column(Text, nullable=False, server_default="auto"))
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)
    deleted_at: datetime | None = moment()


class Document(SQLModel, table=True):
    """A document of a bot. Its row is the truth about where it stands."""

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="documents_id_workspace_id_key"),
        owned_by("bots", "bot_id", name="documents_bot_fkey"),
        Index(
            "documents_bot_id_content_hash_key",
            "bot_id",
            "content_hash",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("documents_bot_id_id_idx", "bot_id", "id"),
        Index("documents_workspace_id_idx", "workspace_id"),
        CheckConstraint("progress BETWEEN 0 AND 1", name="documents_progress_check"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    title: str = text_()
    source: DocumentSource = one_of(DocumentSource.TEXT)
    url: str | None = text_(None)
    media_type: str = text_()
    byte_size: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    content_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    storage_key: str = text_()
    status: DocumentStatus = one_of(DocumentStatus.QUEUED)
    progress: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    failure: str | None = text_(None)
    # The version being ingested, and the one that is searched (none before the first is ready).
    version: int = Field(default=1)
    live_version: int | None = Field(default=None)
    chunk_count: int = Field(default=0)
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)
    deleted_at: datetime | None = moment()


class DocumentVersion(SQLModel, table=True):
    """The extracted text of one version; offsets of passages and citations are characters of it."""

    __tablename__ = "document_versions"
    __table_args__ = (owned_by("documents", "document_id", name="document_versions_document_fkey"),)

    document_id: UUID = uuid_(primary=True)
    version: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    text: str = text_()
    created_at: datetime = now()


class DocumentDeletion(SQLModel, table=True):
    """The receipt of a deleted document; it outlives the document's row."""

    __tablename__ = "document_deletions"

    document_id: UUID = uuid_(primary=True)
    workspace_id: UUID = tenant()
    status: DocumentDeletionStatus = one_of(DocumentDeletionStatus.PENDING)
    chunks_deleted: int = Field(default=0)
    vectors_deleted: int = Field(default=0)
    requested_at: datetime = now()
    verified_at: datetime | None = moment()


class Chunk(SQLModel, table=True):
    """Characters [start, end) of a document version's text."""

    __tablename__ = "chunks"
    __table_args__ = (
        owned_by("documents", "document_id", name="chunks_document_fkey"),
        Index("chunks_document_id_version_idx", "document_id", "version"),
        Index("chunks_bot_id_idx", "bot_id"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    document_id: UUID = uuid_()
    version: int
    ordinal: int
    start: int = Field(sa_column=Column("start", Integer, nullable=False))
    end: int = Field(sa_column=Column("end", Integer, nullable=False))
    text: str = text_()
    heading: str | None = text_(None)
    page: int | None = None


class ChunkLex(SQLModel, table=True):
    """A chunk's term weights, in a narrow table: a scan of a bot's rows must not read its texts."""

    __tablename__ = "chunk_lex"
    __table_args__ = (Index("chunk_lex_bot_id_idx", "bot_id"),)

    chunk_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True))
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    document_id: UUID = uuid_()
    version: int
    encoder_version: int
    terms: Any = Field(sa_column=Column(SPARSEVEC(SPARSE_DIMENSIONS), nullable=False))


class BotLexicon(SQLModel, table=True):
    """Document frequencies from a sample of a bot's chunks. Stale ones cost a little rank, no more."""

    __tablename__ = "bot_lexicons"
    __table_args__ = (owned_by("bots", "bot_id", name="bot_lexicons_bot_fkey"),)

    bot_id: UUID = uuid_(primary=True)
    workspace_id: UUID = uuid_()
    version: int = Field(default=1)
    chunk_count: int = Field(default=0)
    frequencies: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Conversation(SQLModel, table=True):
    """Questions of one user to one bot, and the answers."""

    __tablename__ = "conversations"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="conversations_id_workspace_id_key"),
        owned_by("bots", "bot_id", name="conversations_bot_fkey"),
        Index("conversations_bot_id_user_id_id_idx", "bot_id", "user_id", "id"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    title: str = text_()
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)


class Message(SQLModel, table=True):
    """A question or an answer. `position` counts from 1 in its conversation, without gaps."""

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
        Index("messages_parent_id_idx", "parent_id"),
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
    # Set on questions only: one key, one exchange.
    idempotency_key: str | None = text_(None)
    created_at: datetime = now()


class AnswerEvent(SQLModel, table=True):
    """One event of an answer's log. Sequences of a message are 1, 2, 3 ... without gaps."""

    __tablename__ = "answer_events"
    __table_args__ = (owned_by("messages", "message_id", name="answer_events_message_fkey"),)

    message_id: UUID = uuid_(primary=True)
    sequence: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    data: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


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


class Job(SQLModel, table=True):
    """Work to be done, claimed under a lease. Rows hold ids only, never content."""

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
    workspace_id: UUID = tenant()
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
