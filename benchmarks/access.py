"""What it costs that everybody is looked at: `python -m benchmarks.access`.

A small query of somebody who has signed in, again and again, with the guards of documents and without them, with
row-level security and without it, and with documents that are parsed anew each time. The figures that travel between
machines are the ratios to the server as it is; both are from the same rounds, which take turns.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from starlette.types import Message

from benchmarks.sign_in import serving
from kyrochat.accounts.viewer import Client
from kyrochat.app import KyroApp
from kyrochat.db import engine
from kyrochat.db.access import database_access
from kyrochat.db.engine import asyncpg_url
from kyrochat.graphql.ids import global_id
from kyrochat.graphql.key_guard import KeyGuard
from kyrochat.graphql.limits import CostGuard
from kyrochat.graphql.transport.document_cache import MAX_CACHED_DOCUMENT_CHARS
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings

QUERY = "query ($id: ID!) { bot(id: $id) { id name description documents(first: 5) { nodes { id title status } } } }"
REQUESTS = 100
AT_ONCE = 10
# Short and many: whatever else the machine does meets all variants.
ROUNDS = 15

Switched = Callable[[], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def as_it_is() -> AsyncGenerator[None, None]:
    yield


def without_guards(app: KyroApp) -> Switched:
    """Take away what measures a document and what compares it with a key's scopes; it is still validated."""
    schema = app.view._schema

    @asynccontextmanager
    async def switched() -> AsyncGenerator[None, None]:
        kept = schema.extensions
        schema.extensions = tuple(one for one in kept if one not in (CostGuard, KeyGuard))
        yield
        schema.extensions = kept

    return switched


def without_row_security(owner_url: str) -> Switched:
    """Switch the policies off, and leave out the statement that tells PostgreSQL who asks."""

    @asynccontextmanager
    async def switched() -> AsyncGenerator[None, None]:
        await alter_tables(owner_url, "DISABLE")
        event.remove(Session, "after_begin", engine._confine)
        yield
        event.listen(Session, "after_begin", engine._confine)
        await alter_tables(owner_url, "ENABLE")

    return switched


def without_document_cache(app: KyroApp) -> Switched:
    """Parse and validate each document, as if nobody had sent it before."""
    documents = app.view._schema.documents

    @asynccontextmanager
    async def switched() -> AsyncGenerator[None, None]:
        documents._entries.clear()
        documents._chars, documents.max_document_chars = 0, 0
        yield
        documents.max_document_chars = MAX_CACHED_DOCUMENT_CHARS

    return switched


async def alter_tables(owner_url: str, how: str) -> None:
    owner = create_async_engine(asyncpg_url(owner_url))
    async with owner.begin() as connection:
        tables = await connection.execute(text("SELECT DISTINCT tablename FROM pg_policies"))
        for table in list(tables.scalars()):
            await connection.execute(text(f"ALTER TABLE {table} {how} ROW LEVEL SECURITY"))
    await owner.dispose()


async def in_process(app: KyroApp, body: bytes, token: str) -> float:
    """Return how many requests a second the application answers without a server."""
    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {token}".encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
    }

    async def one() -> None:
        said: list[bytes] = []
        request: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if not request:
                await asyncio.Event().wait()  # the client stays
            return request.pop()

        async def send(message: Message) -> None:
            said.append(message.get("body", b""))

        await app({**scope, "state": {}}, receive, send)
        assert b'"errors"' not in b"".join(said), said

    async def some() -> None:
        for _ in range(REQUESTS // AT_ONCE):
            await one()

    began_at = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return REQUESTS / (time.perf_counter() - began_at)


async def over_socket(port: int, body: bytes, token: str) -> float:
    """Return how many requests a second come back to another process."""
    arguments = ("-m", "benchmarks.access_client", str(port), str(REQUESTS), str(AT_ONCE), token)
    client = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=PIPE, stdout=PIPE)
    output, _ = await client.communicate(body)
    return float(output)


async def compare(measure: Callable[[], Awaitable[float]], variants: dict[str, Switched]) -> None:
    """Print the medians of the rounds, and of their ratios to the first variant: of the rate, and of our CPU's time."""
    rates: dict[str, list[float]] = {name: [] for name in variants}
    cpu_ms: dict[str, list[float]] = {name: [] for name in variants}
    await measure()  # everything has been imported, parsed and connected by now
    for _ in range(ROUNDS):
        for name, switched in variants.items():
            async with switched():
                began_s = time.process_time()
                rates[name].append(await measure())
                cpu_ms[name].append((time.process_time() - began_s) / REQUESTS * 1e3)
    usual = next(iter(variants))
    for name in variants:
        rate, cpu = (
            f"{statistics.median(found[name]):>6.{digits}f} {unit} "
            f"x{statistics.median(one / other for one, other in zip(found[name], found[usual], strict=True)):.2f}"
            for found, digits, unit in ((rates, 0, "/s"), (cpu_ms, 1, "ms"))
        )
        sys.stdout.write(f"  {name:<31} {rate}   CPU {cpu}\n")


async def main() -> None:
    """Print the figures of a fresh server."""
    with tempfile.TemporaryDirectory(prefix="kyrochat-bench-") as directory:
        settings = Settings(data_dir=Path(directory), workers=0, rate_limits=Switch.OFF, port=0)
        async with database_access(settings) as access, serving(settings, access) as (server, app):
            services = app.runtime.services
            signed_in = await services.registration.register("ada@example.org", "correct horse battery", Client("::1"))
            viewer = await services.principals.load(f"Bearer {signed_in.access_token}", Client("::1"))
            bot = await services.bots.create(viewer, None, {"name": "Librarian"})
            body = json.dumps({"query": QUERY, "variables": {"id": global_id("Bot", bot.id)}}).encode()
            token, port = signed_in.access_token, server.servers[0].sockets[0].getsockname()[1]
            variants: dict[str, Switched] = {
                "as it is": as_it_is,
                "without the guards": without_guards(app),
                "without row-level security": without_row_security(access.urls.owner),
                "without the cache of documents": without_document_cache(app),
            }
            sys.stdout.write(f"A query of one bot and its documents, {AT_ONCE} at once, in the process:\n")
            await compare(lambda: in_process(app, body, token), variants)
            sys.stdout.write("The same over a socket, from another process:\n")
            await compare(lambda: over_socket(port, body, token), variants)
            documents = app.view._schema.documents
            hits, misses = documents.hits, documents.misses
            await in_process(app, body, token)
            sys.stdout.write(
                f"Of {REQUESTS} more requests {documents.hits - hits} found their document parsed and validated, "
                f"and {documents.misses - misses} did not.\n"
            )


if __name__ == "__main__":
    asyncio.run(main())
