"""The connection pool, and transactions that see only the workspaces they name."""

import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import URL, Connection, Dialect, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlmodel.ext.asyncio.session import AsyncSession

POOL_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 30_000
# A connection that was used more recently is taken as it is.
IDLE_S = 5.0

_USED_AT = "kyrochat_used_at"
_SCOPE = "kyrochat_workspaces"
_CREDENTIAL = "kyrochat_credential"
_ADMINISTERS = "kyrochat_administers"


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections under one role."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]

    @asynccontextmanager
    async def begin(
        self, workspaces: Iterable[UUID] = (), *, credential: bytes | None = None, administers: bool = False
    ) -> AsyncGenerator[AsyncSession, None]:
        """Open a transaction that row-level security confines to `workspaces`; it commits at the end.

        Without workspaces no tenant row can be seen or written; accounts, jobs and leases still can. The hash of a
        secret as `credential` opens the one row that the secret is for; `administers` opens what is the site's.
        Never hold it across a stream or a provider's call.
        """
        info = {
            _SCOPE: frozenset(workspaces),
            _CREDENTIAL: "" if credential is None else credential.hex(),
            _ADMINISTERS: "on" if administers else "",
        }
        async with self.sessions(info=info) as session, session.begin():
            yield session

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def open_database(url: str, *, role: str | None = None, pool_size: int = 10) -> Database:
    """Return a pool on `url`; each connection acts as `role` when one is given.

    Nothing is connected yet.
    """
    server_settings = {
        "application_name": "kyrochat",
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
        # A scan of 20,000 chunks takes 10 ms; compiling it first would take longer.
        "jit": "off",
    }
    if role is not None:
        server_settings["role"] = role
    engine = create_async_engine(
        asyncpg_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        # Parameters hold questions and document text, and a traceback would show them.
        hide_parameters=True,
        connect_args={"server_settings": server_settings, "timeout": 10},
    )
    event.listen(engine.sync_engine, "checkout", partial(_must_be_alive, engine.dialect))
    event.listen(engine.sync_engine, "checkin", _note_use)
    return Database(engine, async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False))


def _must_be_alive(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Have the pool open another connection in the place of one that is closed.

    A closed socket is noticed by itself; only one that was idle for a while is asked. Asking each time, as the pool
    would, takes three round trips in every transaction.
    """
    driver: Any = record.driver_connection
    if driver is not None and driver.is_closed():
        raise DisconnectionError
    if time.monotonic() - record.info.get(_USED_AT, 0.0) < IDLE_S:
        return
    try:
        dialect.do_ping(connection)
    except Exception as error:
        raise DisconnectionError from error


def _note_use(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()


async def widen(session: AsyncSession, workspace_id: UUID) -> None:
    """Let the current transaction see `workspace_id` too: one that it makes, or has found out it works for."""
    session.info[_SCOPE] |= {workspace_id}
    await (await session.connection()).execute(_SET_SCOPE, _settings_of(session.info))


def asyncpg_url(url: str) -> URL:
    """Return the URL with the asyncpg driver; libpq's `sslmode` becomes asyncpg's `ssl`."""
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    mode = parsed.query.get("sslmode")
    if mode is None:
        return parsed
    return parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


# One statement for all three: it is a round trip in every transaction.
_SET_SCOPE = text(
    "SELECT set_config('kyrochat.workspaces', :ids, true), set_config('kyrochat.credential', :credential, true),"
    " set_config('kyrochat.administers', :administers, true)"
)


def _settings_of(info: Mapping[Any, Any]) -> dict[str, str]:
    workspaces = info[_SCOPE]
    return {
        # '' opens nothing; '{}' would be an empty array, and do the same.
        "ids": "{" + ",".join(str(workspace) for workspace in workspaces) + "}" if workspaces else "",
        "credential": info[_CREDENTIAL],
        "administers": info[_ADMINISTERS],
    }


@event.listens_for(Session, "after_begin")
def _confine(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    """Tell PostgreSQL who asks, for this transaction only: a pooled connection must not remember it."""
    del transaction
    if session.info.get(_SCOPE) or session.info.get(_CREDENTIAL) or session.info.get(_ADMINISTERS):
        connection.execute(_SET_SCOPE, _settings_of(session.info))
