"""What a killed process leaves: steps that were taken, and one that was not, nor any after it."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.engine import Database


class Cut(Exception):
    """The process ends here."""


@dataclass(frozen=True)
class CutDatabase(Database):
    """A database for as many transactions as there are `left`."""

    left: list[None] = field(default_factory=list)

    @classmethod
    def after(cls, steps: int, database: Database) -> "CutDatabase":
        return cls(database.engine, database.sessions, [None] * steps)

    @asynccontextmanager
    async def begin(
        self, workspaces: Iterable[UUID] = (), *, credential: bytes | None = None, administers: bool = False
    ) -> AsyncGenerator[AsyncSession, None]:
        if not self.left:
            raise Cut
        self.left.pop()
        async with Database.begin(self, workspaces, credential=credential, administers=administers) as session:
            yield session
