"""Which rows a query may find: the first net between tenants. Row-level security (`engine`) is the second."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_
from sqlmodel import SQLModel, col

from kyrochat.db.models import Bot


@dataclass(frozen=True, slots=True)
class Reach:
    """The rows of these workspaces; and of these, with a `bot_id`, that bot and what belongs to it only."""

    workspaces: tuple[UUID, ...]
    bot_id: UUID | None = None

    @classmethod
    def of(cls, *workspaces: UUID) -> "Reach":
        """Return the reach of all that is in the workspaces."""
        return cls(workspaces)

    def within(self, workspace_id: UUID) -> "Reach":
        """Return the part that lies in one workspace: nothing if that is out of reach."""
        return Reach((workspace_id,) if workspace_id in self.workspaces else (), self.bot_id)

    def covers(self, table: type[SQLModel]) -> ColumnElement[bool]:
        """Return the condition for a query's `where`. Every query on a client's ids has it.

        `table` has `workspace_id`, and is `Bot` or has `bot_id`.
        """
        columns: Any = table
        inside = col(columns.workspace_id).in_(self.workspaces)
        if self.bot_id is None:
            return inside
        bot = columns.id if table is Bot else columns.bot_id
        return and_(inside, col(bot) == self.bot_id)
