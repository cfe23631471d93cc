"""How this process gets at its database: the embedded one or the operator's, migrated, under confined roles."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from kyrochat.db.embedded import DatabaseUrls, EmbeddedPostgres
from kyrochat.db.engine import Database, asyncpg_url, open_database
from kyrochat.db.migrate import migrate
from kyrochat.db.outage import Outage, is_outage
from kyrochat.db.roles import APP, CLOSE_TO_WORKER, WORKER
from kyrochat.errors import ConfigurationError
from kyrochat.settings import Settings

# Any fixed number: two servers that start at once must not both create the roles.
_ROLES_LOCK = 0x6B797272
CONNECT_ATTEMPTS = 8
FIRST_PAUSE_S = 0.25
# How soon it is noticed that the embedded server has died.
LOOK_AFTER_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """URLs, and the roles to assume on them (None: the URL's own role will do)."""

    urls: DatabaseUrls
    app_role: str | None = None
    worker_role: str | None = None

    def open_app(self) -> Database:
        """Return a pool under the role that serves requests."""
        return open_database(self.urls.app, role=self.app_role)

    def open_log(self) -> Database:
        """Return a small pool like `open_app`, for the log of answers, which a crowd of requests must not hold up."""
        return open_database(self.urls.app, role=self.app_role, pool_size=3)

    def open_worker(self, concurrency: int) -> Database:
        """Return a pool under the role that works on so many jobs at once: one connection each, and its own work."""
        return open_database(self.urls.worker, role=self.worker_role, pool_size=concurrency + 3)


@asynccontextmanager
async def database_access(settings: Settings, *, migrating: bool = True) -> AsyncGenerator[DatabaseAccess, None]:
    """Give access to a migrated database; an embedded one runs meanwhile.

    Raises:
        ConfigurationError: the database cannot be started, reached or confined.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        await _wait_until_reachable(url)
        if migrating:
            await migrate(url)
        bypasses = await _confine(url)
        roles = (APP, WORKER) if bypasses else (None, None)
        yield DatabaseAccess(DatabaseUrls(url, url, url), *roles)
        return
    server = await asyncio.to_thread(EmbeddedPostgres.start, settings.data_dir)
    nurse = asyncio.create_task(_keep_alive(server), name="embedded-postgres")
    try:
        if migrating:
            await migrate(server.urls.owner)
        yield DatabaseAccess(server.urls)
    finally:
        nurse.cancel()
        await asyncio.wait([nurse])
        # Shielded by the thread: a second Ctrl-C must not leave half a shutdown.
        await asyncio.to_thread(server.stop)


async def _keep_alive(server: EmbeddedPostgres) -> None:
    """Start the embedded server again whenever it dies: of a kill, or for want of memory."""
    outage = Outage("Starting the embedded PostgreSQL again")
    while True:
        await asyncio.sleep(LOOK_AFTER_S)
        if not await asyncio.to_thread(server.is_dead):
            continue
        log.error("The embedded PostgreSQL has died; starting it again")
        try:
            await asyncio.to_thread(server.revive)
        except ConfigurationError as error:
            await asyncio.sleep(outage.goes_on(error))
        else:
            outage.is_over()
            log.info("The embedded PostgreSQL runs again")


async def check_connection(database: Database) -> None:
    """Ask the database for something that it always has; raises what goes wrong."""
    async with database.begin() as session:
        await (await session.connection()).execute(text("SELECT 1"))


async def refuse_to_bypass(database: Database) -> None:
    """Check that row-level security holds for the pool's role.

    Raises:
        ConfigurationError: the role may ignore it.
    """
    async with database.engine.connect() as connection:
        if await _bypasses(connection):
            raise ConfigurationError(
                "The database role may bypass row-level security, the second net between tenants. "
                "Use a role without SUPERUSER and BYPASSRLS."
            )


async def _wait_until_reachable(url: str) -> None:
    try:
        engine = create_async_engine(asyncpg_url(url), poolclass=NullPool, connect_args={"timeout": 5})
        if not make_url(url).drivername.startswith("postgres"):
            raise ValueError("not PostgreSQL")
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            "KYROCHAT_DATABASE_URL is no URL of a database. It looks like postgresql://user:password@host:5432/name."
        ) from error
    pause_s = FIRST_PAUSE_S
    try:
        for attempt in range(1, CONNECT_ATTEMPTS + 1):
            try:
                async with engine.connect():
                    return
            except Exception as error:
                if not is_outage(error) or attempt == CONNECT_ATTEMPTS:
                    raise ConfigurationError(
                        f"KYROCHAT_DATABASE_URL cannot be used ({type(error).__name__}): {_place(url)}. "
                        "Is PostgreSQL running there, and are name, user and password right?"
                    ) from error
            if attempt == 1:
                log.warning("The database cannot be reached yet; waiting for it")
            await asyncio.sleep(pause_s)
            pause_s *= 2
    finally:
        await engine.dispose()


def _place(url: str) -> str:
    """Return the part of the URL that holds no secret: neither user nor password, wherever they stand."""
    parsed = asyncpg_url(url)
    query = {"host": parsed.query["host"]} if "host" in parsed.query else {}
    return URL.create(
        "postgresql", host=parsed.host, port=parsed.port, database=parsed.database, query=query
    ).render_as_string()


async def _bypasses(connection: AsyncConnection) -> bool:
    query = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    return bool((await connection.execute(query)).scalar_one())


async def _confine(url: str) -> bool:
    """Make roles to assume when the URL's own one would bypass row-level security; say whether it would."""
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            if not await _bypasses(connection):
                return False
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ROLES_LOCK})
            for role in (APP, WORKER):
                known = await connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
                if known.first() is None:
                    await connection.execute(text(f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS"))
                await connection.execute(text(f"GRANT {role} TO CURRENT_USER"))
                await connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {role}"))
                await connection.execute(
                    text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
                )
            await connection.execute(text(CLOSE_TO_WORKER))
            return True
    except DBAPIError as error:
        raise ConfigurationError(
            "The role of KYROCHAT_DATABASE_URL bypasses row-level security and may not make roles that do not. "
            "Use a role without SUPERUSER and BYPASSRLS that owns the database."
        ) from error
    finally:
        await engine.dispose()
