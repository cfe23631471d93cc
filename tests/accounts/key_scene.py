"""Somebody's keys, and the ways in that they open."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from kyrochat.accounts.api_keys import ApiKeyService, NewKey
from kyrochat.accounts.principals import Principals
from kyrochat.accounts.viewer import Client, Page, Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import ApiKey, Bot
from kyrochat.db.states import ApiKeyScope

CLIENT = Client("192.0.2.9", "test")
SHOP = "https://shop.example"


@dataclass(frozen=True)
class Keys:
    """Ada, who owns a workspace with a bot, and what makes and takes her keys."""

    database: Database
    service: ApiKeyService
    principals: Principals
    ada: Viewer
    bot: Bot

    async def make(self, *scopes: ApiKeyScope, **fields: Any) -> tuple[ApiKey, str]:
        """Make a key, by default one that may chat."""
        wanted = NewKey("Test", frozenset(scopes or [ApiKeyScope.CHAT]), **fields)
        return await self.service.create(self.ada, None, wanted)

    async def make_public(self, **fields: Any) -> tuple[ApiKey, str]:
        """Make a key for browsers on pages of the shop."""
        return await self.make(bot_id=self.bot.id, allowed_origins=[SHOP], **fields)

    async def enter(self, secret: str, origin: str | None = None, *, is_ours: bool = False) -> Viewer:
        """Come in with a key."""
        page = None if origin is None else Page(origin, is_ours)
        return await self.principals.load(f"Bearer {secret}", CLIENT, page)

    async def run(self, statement: str, **values: Any) -> None:
        """Change what is stored, behind everybody's back."""
        async with self.database.begin(self.ada.workspaces) as session:
            await (await session.connection()).execute(text(statement), values)

    async def column(self, query: str, **values: Any) -> list[Any]:
        """Return the first column of a query's rows."""
        async with self.database.begin(self.ada.workspaces, administers=True) as session:
            return list((await (await session.connection()).execute(text(query), values)).scalars())

    @property
    def workspace_id(self) -> UUID:
        return self.ada.default_workspace_id
