"""A copy of the scene's database with the whole application on it, with one of the nets taken away or none."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kyrochat.app import KyroApp
from kyrochat.db.access import DatabaseAccess
from kyrochat.db.embedded import DatabaseUrls, EmbeddedPostgres
from kyrochat.db.engine import asyncpg_url
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings
from tests.access.asgi import lifespan
from tests.access.cast import ORIGIN
from tests.access.rows import TABLES, Rows, fingerprint, put_back, read_rows
from tests.access.unscoped import without_scoping
from tests.conftest import drop_database

SECRET = "the signing secret of the walk's application"
MOST_UNDOINGS = 10

Changes = dict[str, list[str]]
_numbers = count(1)


class Net(Enum):
    """Which of the two nets between tenants are there."""

    BOTH = "both nets"
    SCOPING = "scoping alone"
    ROW_SECURITY = "row-level security alone"
    # Only to see that the walk finds what comes through.
    NEITHER = "no net"

    @property
    def has_scoping(self) -> bool:
        return self in (Net.BOTH, Net.SCOPING)

    @property
    def has_row_security(self) -> bool:
        return self in (Net.BOTH, Net.ROW_SECURITY)


@dataclass(frozen=True, repr=False)
class World:
    """The application, and its database's owner, from whom nothing is hidden. `before` is what was there at first."""

    app: KyroApp
    owner: AsyncEngine
    before: Rows
    before_in_short: str
    # Conditions that were taken out of statements.
    removed: Counter[str]

    async def undo(self) -> Changes:
        """Return the rows that came or went since the beginning, by table, and put them back."""
        if await fingerprint(self.owner) == self.before_in_short:
            return {}
        found, after = await self._changes()
        changes = found
        for _ in range(MOST_UNDOINGS):
            if not changes:
                return found
            # What was started in the background may write meanwhile, hence again.
            await put_back(self.owner, self.before, after)
            changes, after = await self._changes()
        pytest.fail(f"The rows cannot be put back: {changes}")

    async def _changes(self) -> tuple[Changes, Rows]:
        after = await read_rows(self.owner)
        changes = {
            table: sorted(before.keys() ^ after[table].keys())
            for table, before in self.before.items()
            if before.keys() != after[table].keys()
        }
        return changes, after


@dataclass(frozen=True)
class Mould:
    """Where worlds come from: a cluster, the database in it to copy, and a directory for files."""

    postgres: EmbeddedPostgres
    template: str
    directory: Path
    # Connected to another database: a template must have no connections.
    admin: AsyncEngine

    @property
    def settings(self) -> Settings:
        return Settings(
            _env_file=None,
            secret_key=SecretStr(SECRET),
            data_dir=self.directory,
            workers=0,
            rate_limits=Switch.OFF,
            # Where keys for browsers are used; sockets are taken from there only.
            allowed_origins=ORIGIN,
            tool_hosts="tools.example",
        )

    @asynccontextmanager
    async def copy(self, name: str | None = None) -> AsyncGenerator[DatabaseUrls, None]:
        """Give the URLs of a copy of the template."""
        name = name or f"access_{next(_numbers)}"
        async with self.admin.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY file_copy"))
        urls = self.postgres.urls
        try:
            yield DatabaseUrls(*(_named(url, name) for url in (urls.owner, urls.app, urls.worker)))
        finally:
            async with self.admin.connect() as connection:
                await drop_database(connection, name)

    @asynccontextmanager
    async def world(self, net: Net = Net.BOTH) -> AsyncGenerator[World, None]:
        """Start the application on a copy."""
        async with self.copy() as urls, self.running(urls, net) as world:
            yield world

    @asynccontextmanager
    async def running(self, urls: DatabaseUrls, net: Net = Net.BOTH) -> AsyncGenerator[World, None]:
        """Start the application on a database."""
        owner = create_async_engine(asyncpg_url(urls.owner), pool_size=1, max_overflow=0)
        try:
            without_policies = await _show_all(owner, disable=not net.has_row_security)
            app = KyroApp(self.settings, DatabaseAccess(urls))
            async with lifespan(app):
                before = await read_rows(owner), await fingerprint(owner)
                if net.has_scoping:
                    yield World(app, owner, *before, Counter())
                else:
                    with without_scoping(app.runtime.database.engine, without_policies) as removed:
                        yield World(app, owner, *before, removed)
        finally:
            await owner.dispose()


async def _show_all(owner: AsyncEngine, *, disable: bool) -> list[str]:
    """Let the owner see all rows; with `disable` everybody does. Return the tables that have no policies anyway.

    The application's role is not the owner, and is confined as ever.
    """
    async with owner.begin() as connection:
        confined = [name for (name,) in await connection.execute(_CONFINED)]
        for table in confined:
            how = "DISABLE" if disable else "NO FORCE"
            await connection.execute(text(f"ALTER TABLE {table} {how} ROW LEVEL SECURITY"))
    return [table.name for table in TABLES if table.name not in confined]


def _named(url: str, database: str) -> str:
    return asyncpg_url(url).set(database=database).render_as_string(hide_password=False)


_CONFINED = text(
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relrowsecurity ORDER BY 1"
)
