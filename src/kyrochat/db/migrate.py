"""Brings a database to the newest schema. Alembic is imported only when there is something to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.engine import asyncpg_url
from kyrochat.db.roles import CLOSE_TO_WORKER
from kyrochat.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

# Any fixed number: whoever holds it is the one that migrates.
_LOCK_KEY = 0x6B79726F


def migrations_dir() -> Path:
    """Return where the migrations are: inside the installed package, or beside `src` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def newest_revision() -> str:
    """Return the last revision: files are named `0001_what_it_does.py` after theirs."""
    return max(path.name.split("_")[0] for path in (migrations_dir() / "versions").glob("[0-9]*.py"))


@contextmanager
def all_rows(connection: Connection, *tables: str) -> Iterator[None]:
    """Let a migration see and change these tables' rows of all workspaces.

    FORCE hides them from the owner too. Nobody else sees more meanwhile: the tables are locked until the migration's
    transaction ends, and when it fails, everything is as it was.
    """
    for table in tables:
        connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
    yield
    for table in tables:
        connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))


async def migrate(owner_url: str, target: str = "head") -> None:
    """Upgrade (or, to an older `target` or `base`, downgrade) in one transaction.

    Of several processes that start at once one migrates while the others wait.

    Raises:
        ConfigurationError: the database is newer than this program, or has no pgvector and may not get it.
    """
    engine = create_async_engine(asyncpg_url(owner_url), poolclass=NullPool)
    try:
        if target == "head":
            async with engine.connect() as connection:
                if await _revision(connection) == newest_revision():
                    return
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            await connection.run_sync(_run, target)
    finally:
        await engine.dispose()


async def check(owner_url: str) -> None:
    """Compare the tables with the models.

    Raises:
        alembic.util.exc.CommandError: they differ.
    """
    from alembic import command

    engine = create_async_engine(asyncpg_url(owner_url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(lambda sync: command.check(_config(sync)))
    finally:
        await engine.dispose()


async def _revision(connection: AsyncConnection) -> str | None:
    try:
        return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    except ProgrammingError:
        return None  # no such table: a new database


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    return config


def _run(connection: Connection, target: str) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = _config(connection)
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    current = (
        connection.execute(
            text("SELECT to_regclass('alembic_version') IS NOT NULL"),
        ).scalar_one()
        and connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    )
    if current and current not in revisions:
        raise ConfigurationError(
            f"The database is at revision {current}, which this version of KyroChat does not know. Install a newer one."
        )
    going_down = target != "head" and current and (target == "base" or target < current)
    try:
        (command.downgrade if going_down else command.upgrade)(config, target)
        connection.execute(text(CLOSE_TO_WORKER))
    except CommandError as error:
        raise ConfigurationError(f"Migrating to {target!r} failed: {error}") from error
    except DBAPIError as error:
        if 'extension "vector"' in str(error.orig):
            # Not installed on the server, or only a superuser may add it to a database.
            raise ConfigurationError(
                "The database lacks pgvector. Install it on the PostgreSQL server (0.7 or newer), and run "
                "`CREATE EXTENSION vector` in this database as a superuser."
            ) from error
        raise
