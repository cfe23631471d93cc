"""Columns as the tables need them, so that `models` reads like a list."""

from enum import StrEnum
from typing import Any
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import Column, DateTime, Enum, ForeignKey, ForeignKeyConstraint, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field


def new_id() -> UUID:
    """Return a UUIDv7: later ones are greater."""
    return uuid_utils.compat.uuid7()


def key() -> Any:
    """The primary key, a UUIDv7."""
    return Field(default_factory=new_id, sa_column=Column(Uuid, primary_key=True))


def now(*, on_update: bool = False) -> Any:
    """The database's time at insert, and at update as well when `on_update` is set."""
    column = Column(
        DateTime(timezone=True),
        nullable=False,
        server_default=func.now(),
        onupdate=func.now() if on_update else None,
    )
    return Field(default=None, sa_column=column)


def moment() -> Any:
    """A point in time, or null."""
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=True))


def text_(default: str | None = "") -> Any:
    """Text; nullable when its default is None."""
    return Field(default=default, sa_column=Column(Text, nullable=default is None))


def json_list() -> Any:
    """A JSON array, empty by default."""
    return Field(default_factory=list, sa_column=Column(JSONB, nullable=False, server_default="[]"))


def json_object() -> Any:
    """A JSON object, empty by default."""
    return Field(default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default="{}"))


def texts() -> Any:
    """An array of texts, empty by default."""
    return Field(default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default="{}"))


def tenant() -> Any:
    """The workspace that owns the row."""
    return Field(sa_column=Column(Uuid, ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False))


def uuid_(*, nullable: bool = False, primary: bool = False) -> Any:
    """An id of another row; the table's arguments say of which."""
    return Field(default=None, sa_column=Column(Uuid, nullable=nullable and not primary, primary_key=primary))


def one_of(default: StrEnum) -> Any:
    """A member of the default's class, as text with a check: values can be added and removed later."""
    kind = type(default)
    # The name of a PostgreSQL enum would tie every deployment to its order and members.
    column = Enum(kind, native_enum=False, length=16, create_constraint=False)
    return Field(default=default, sa_column=Column(column, nullable=False))


def maybe_one_of(kind: type[StrEnum]) -> Any:
    """A member of the class, as `one_of` has it, or null."""
    column = Enum(kind, native_enum=False, length=16, create_constraint=False)
    return Field(default=None, sa_column=Column(column, nullable=True))


def owned_by(table: str, column: str, *, name: str) -> ForeignKeyConstraint:
    """A foreign key that includes the workspace, so both rows are of one tenant."""
    return ForeignKeyConstraint(
        [column, "workspace_id"], [f"{table}.id", f"{table}.workspace_id"], ondelete="CASCADE", name=name
    )
