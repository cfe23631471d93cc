"""Tables of bots."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import json_list, key, moment, now, owned_by, tenant, text_, uuid_

# The first version of the encoder, with the language guessed.
FIRST_ENCODING = 1_024


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
        CheckConstraint("min_score BETWEEN 0 AND 1", name="bots_min_score_check"),
        CheckConstraint("alpha BETWEEN 0 AND 1", name="bots_alpha_check"),
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
    # What scores less is not shown, and not used.
    min_score: float = Field(default=0.0, sa_column=Column(Double, nullable=False, server_default="0"))
    # The weight of the dense leg. Null: what was measured to be best.
    alpha: float | None = Field(default=None, sa_column=Column(Double, nullable=True))
    # Whether the model may search again while it answers.
    agentic: bool = Field(default=False)
    greeting: str = text_()
    suggested_questions: list[str] = json_list()
    suggests_follow_ups: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false"))
    )
    language: str = Field(default="auto", sa_column=Column(Text, nullable=False, server_default="auto"))
    # Of the term weights that are searched, as a number of `retrieval.encodings`. While a change of the language is on
    # its way, it is still the old one's.
    encoding: int = Field(
        default=FIRST_ENCODING, sa_column=Column(Integer, nullable=False, server_default=str(FIRST_ENCODING))
    )
    ingestion_paused: bool = Field(default=False)
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)
    deleted_at: datetime | None = moment()


class SearchVersion(SQLModel, table=True):
    """Counts the commits that change what can be found with a bot; a trigger on documents does."""

    __tablename__ = "search_versions"
    __table_args__ = (owned_by("bots", "bot_id", name="search_versions_bot_fkey"),)

    bot_id: UUID = uuid_(primary=True)
    workspace_id: UUID = uuid_()
    version: int = Field(default=1, sa_column=Column(BigInteger, nullable=False, server_default="1"))
    # The transaction that counted last, so that it counts once.
    changed_by: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))


class BotLexicon(SQLModel, table=True):
    """Document frequencies from a sample of a bot's chunks. Stale ones cost a little rank, no more."""

    __tablename__ = "bot_lexicons"
    __table_args__ = (owned_by("bots", "bot_id", name="bot_lexicons_bot_fkey"),)

    bot_id: UUID = uuid_(primary=True)
    workspace_id: UUID = uuid_()
    version: int = Field(default=1)
    chunk_count: int = Field(default=0)
    frequencies: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
