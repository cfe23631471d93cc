"""Tables of dense vectors."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Column, ForeignKey, Identity, Index, Integer, UniqueConstraint, Uuid, text
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import now, one_of, owned_by, text_, uuid_
from kyrochat.db.states import VectorSetState, VectorStore


class VectorSet(SQLModel, table=True):
    """A bot's vectors of one scheme in one store. Those of two sets are never compared.

    A bot is searched by the one that is SERVING, if there is one; a BUILDING one takes its place once it is complete.
    """

    __tablename__ = "vector_sets"
    __table_args__ = (
        UniqueConstraint("id", "workspace_id", name="vector_sets_id_workspace_id_key"),
        UniqueConstraint("bot_id", "store", "scheme", name="vector_sets_bot_id_store_scheme_key"),
        owned_by("bots", "bot_id", name="vector_sets_bot_fkey"),
        Index("vector_sets_serving_key", "bot_id", unique=True, postgresql_where=text("state = 'SERVING'")),
        Index("vector_sets_building_key", "bot_id", unique=True, postgresql_where=text("state = 'BUILDING'")),
        Index("vector_sets_workspace_id_idx", "workspace_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    store: VectorStore = one_of(VectorStore.PGVECTOR)
    # Model, dimensions and task, as its embedder writes it.
    scheme: str = text_()
    # Of its vectors; null until the first one is stored.
    dimensions: int | None = None
    state: VectorSetState = one_of(VectorSetState.BUILDING)
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)


class ChunkVector(SQLModel, table=True):
    """A chunk's vector in a set; null where the set's vectors are stored elsewhere, which have taken it.

    A narrow table, like `ChunkLex`: rows are scanned, and must not lie in the TOAST table.
    """

    __tablename__ = "chunk_vec"
    __table_args__ = (
        owned_by("vector_sets", "set_id", name="chunk_vec_set_fkey"),
        Index("chunk_vec_set_id_idx", "set_id"),
    )

    chunk_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True))
    set_id: int = Field(primary_key=True)
    workspace_id: UUID = uuid_()
    document_id: UUID = uuid_()
    version: int
    embedding: Any = Field(default=None, sa_column=Column(HALFVEC(), nullable=True))
