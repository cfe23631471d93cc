"""Tables of documents and of what is searched."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import SPARSEVEC
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import (
    json_list,
    json_object,
    key,
    moment,
    now,
    one_of,
    owned_by,
    tenant,
    text_,
    texts,
    uuid_,
)
from kyrochat.db.states import DocumentDeletionStatus, DocumentSource, DocumentStage, DocumentStatus

SPARSE_DIMENSIONS = 1_000_000_000


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
    # Nobody gave the title: each version takes the one that its content names.
    titled_by_content: bool = Field(default=False)
    source: DocumentSource = one_of(DocumentSource.TEXT)
    url: str | None = text_(None)
    media_type: str = text_()
    byte_size: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    content_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    storage_key: str = text_()
    # Keys of files of earlier versions, until they are deleted.
    stale_files: list[str] = json_list()
    status: DocumentStatus = one_of(DocumentStatus.QUEUED)
    stage: DocumentStage = one_of(DocumentStage.WAITING)
    progress: float = Field(default=0.0, sa_column=Column(Double, nullable=False))
    failure: str | None = text_(None)
    # Of this version: how often a worker began, and when the next one may. Null: at once, or never again.
    attempts: int = Field(default=0)
    next_attempt_at: datetime | None = moment()
    # The version being ingested, and the one that is searched (none before the first is ready).
    version: int = Field(default=1)
    live_version: int | None = Field(default=None)
    chunk_count: int = Field(default=0)
    # What it is found by beside its words; `document_tags` is the index on the tags.
    tags: list[str] = texts()
    attributes: dict[str, Any] = json_object()
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)
    deleted_at: datetime | None = moment()


class DocumentTag(SQLModel, table=True):
    """The index on `documents.tags`; a trigger keeps it."""

    __tablename__ = "document_tags"
    __table_args__ = (
        owned_by("documents", "document_id", name="document_tags_document_fkey"),
        Index("document_tags_bot_id_tag_idx", "bot_id", "tag", "document_id"),
    )

    document_id: UUID = uuid_(primary=True)
    tag: str = Field(sa_column=Column(Text, primary_key=True))
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()


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
    # No foreign key: it outlives the bot as well.
    bot_id: UUID | None = uuid_(nullable=True)
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
    __table_args__ = (Index("chunk_lex_bot_id_encoding_idx", "bot_id", "encoding"),)

    chunk_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True))
    # Which rules made the vector, as a number of `retrieval.encodings`. Those of two lie beside each other while a bot
    # is encoded anew; what is searched is the bot's.
    encoding: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    document_id: UUID = uuid_()
    version: int
    terms: Any = Field(sa_column=Column(SPARSEVEC(SPARSE_DIMENSIONS), nullable=False))


class ChunkSalts(SQLModel, table=True):
    """Which terms a chunk of a large bot holds, salted. Only rows of terms that the transaction names can be read."""

    __tablename__ = "chunk_salts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["chunk_id", "encoding"],
            ["chunk_lex.chunk_id", "chunk_lex.encoding"],
            ondelete="CASCADE",
            name="chunk_salts_chunk_fkey",
        ),
        Index("chunk_salts_salts_idx", "salts", postgresql_using="gin"),
    )

    chunk_id: UUID = uuid_(primary=True)
    encoding: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    salts: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
