"""HTTP tools of bots."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from kyrochat.db.columns import json_object, key, now, owned_by, text_, texts, uuid_


class BotTool(SQLModel, table=True):
    """What a bot's model may call while it answers.

    `url` may have `{name}` in its path, for parameters; `parameters` is a JSON Schema. Of headers only the names can be
    read: the values are sealed.
    """

    __tablename__ = "bot_tools"
    __table_args__ = (
        UniqueConstraint("bot_id", "name", name="bot_tools_bot_id_name_key"),
        owned_by("bots", "bot_id", name="bot_tools_bot_fkey"),
    )

    id: UUID = key()
    workspace_id: UUID = uuid_()
    bot_id: UUID = uuid_()
    name: str = text_()
    description: str = text_()
    method: str = text_()
    url: str = text_()
    parameters: dict[str, Any] = json_object()
    header_names: list[str] = texts()
    sealed_headers: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    timeout_seconds: int = Field(default=10)
    enabled: bool = Field(default=True)
    created_at: datetime = now()
    updated_at: datetime = now(on_update=True)
