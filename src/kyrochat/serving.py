"""Runs the server, or a worker, until it is told to stop."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING

import uvicorn

from kyrochat.db.access import DatabaseAccess, database_access
from kyrochat.db.engine import Database
from kyrochat.db.migrate import migrate
from kyrochat.errors import ConfigurationError
from kyrochat.settings import Settings
from kyrochat.signing.agreement import accept_key, agree_on_key
from kyrochat.signing.key_files import secret_keys

if TYPE_CHECKING:
    from kyrochat.app import KyroApp


class KyroServer(uvicorn.Server):
    """A uvicorn server that says where it is, once it listens, and drains before it stops."""

    def __init__(self, config: uvicorn.Config, app: "KyroApp", settings: Settings, started_at: float) -> None:
        super().__init__(config)
        self._app, self._settings, self._started_at = app, settings, started_at

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then print the one line that people and scripts wait for."""
        await super().startup(sockets)
        # What is there now stays for good. Looking through it for garbage again and again would stop all answers for
        # a tenth of a second each time.
        gc.freeze()
        if self.should_exit or not self.servers:
            return
        host = self._settings.host
        port = self.servers[0].sockets[0].getsockname()[1]
        base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        graphiql = f" · GraphiQL {base}/graphiql/" if self._settings.serves_graphiql else ""
        mode = " · offline mode" if self._app.runtime.services.is_offline else ""
        seconds = time.monotonic() - self._started_at
        registration = self._app.runtime.services.registration
        if await registration.needs_setup():
            print(f"The first account needs the setup code {registration.setup_code}", flush=True)  # noqa: T201 (for who looks at the terminal)
        print(f"KyroChat ready in {seconds:.1f} s · GraphQL {base}/graphql{graphiql}{mode}", flush=True)  # noqa: T201 (for who looks at the terminal)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take signals as requests to stop."""
        with super().capture_signals():
            try:
                yield
            finally:
                # uvicorn raises them again at its end, and SIGTERM would then kill us before the database is stopped.
                self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then let go of the connections."""
        self._app.drain()
        await super().shutdown(sockets)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends it at once.

    Raises:
        ConfigurationError: the database or a setting will not do, or the port is taken.
    """
    started_at = time.monotonic()
    listener = _listen(settings)
    # Links name the port that was picked.
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listener.close)
        # The database starts while Python imports the rest.
        database = asyncio.create_task(stack.enter_async_context(database_access(settings)))
        await asyncio.sleep(0)
        from kyrochat.app import KyroApp
        from kyrochat.graphql.transport.uvicorn_options import UVICORN_OPTIONS

        access = await database
        # Looked at again inside, where a bad one would end in a traceback of uvicorn's.
        async with _app_database(access) as opened:
            await agree_on_key(opened, secret_keys(settings))
        app = KyroApp(settings, access)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", **UVICORN_OPTIONS)
        server = KyroServer(config, app, settings, started_at)
        await server.serve(sockets=[listener])
        if not server.started:
            raise ConfigurationError("The server did not start; the log above says why.")


async def work(settings: Settings) -> None:
    """Work on jobs until SIGTERM or Ctrl-C."""
    from kyrochat.db.changes import Changes
    from kyrochat.documents.storage import open_store
    from kyrochat.retrieval.providers import open_providers
    from kyrochat.working import working

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, stop.set)
    async with database_access(settings) as access:
        changes = Changes()
        store = open_store(settings.files)
        concurrency = settings.workers or 2
        async with (
            open_providers(settings) as provided,
            working(settings, concurrency, access, changes, store, provided.dense, provided.reranking) as worker,
            changes.listening(worker.queue.database.engine),
        ):
            print(f"KyroChat works on up to {concurrency} jobs at once", flush=True)  # noqa: T201 (for who looks at the terminal)
            await stop.wait()


async def migrate_to(settings: Settings, revision: str) -> None:
    """Bring the database to a revision."""
    async with database_access(settings, migrating=False) as access:
        await migrate(access.urls.owner, revision)


async def accept_secret_key(settings: Settings) -> bool:
    """Let the database be used with this process' secret key from now on; say whether that changed anything."""
    async with database_access(settings) as access, _app_database(access) as database:
        return await accept_key(database, secret_keys(settings))


@contextlib.asynccontextmanager
async def _app_database(access: DatabaseAccess) -> AsyncGenerator[Database, None]:
    database = access.open_app()
    try:
        yield database
    finally:
        await database.close()


def _listen(settings: Settings) -> socket.socket:
    """Bind the port before anything else starts: a taken one is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on its connections.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            "Choose another one with --port, or let --port 0 pick one."
        ) from error
    listener.setblocking(False)
    return listener
