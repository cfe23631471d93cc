"""The PostgreSQL that comes with KyroChat: started by its first user, shared by all, stopped by the last."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL

from kyrochat.db.file_lock import FileLock
from kyrochat.db.postgres_cluster import prepare_cluster
from kyrochat.db.postgres_config import PORT
from kyrochat.db.postgres_programs import find_programs
from kyrochat.db.postgres_server import START_TIMEOUT_S, Server, bring_up, find_server, shut_down
from kyrochat.db.roles import APP, DATABASE, OWNER, WORKER, Passwords, make_passwords, read_passwords
from kyrochat.errors import ConfigurationError

# Longer than a start may take: who waits for somebody else's start sees how it ends.
_LOCK_TIMEOUT_S = START_TIMEOUT_S + 10


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """Where each role connects, for SQLAlchemy with asyncpg; they hold passwords, so they are not shown."""

    owner: str = field(repr=False)
    app: str = field(repr=False)
    worker: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Place:
    """The files below a data directory."""

    data_dir: Path

    @property
    def cluster(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def passwords(self) -> Path:
        return self.data_dir / "postgres.json"

    @property
    def start_lock(self) -> Path:
        """Held while somebody starts or stops the server."""
        return self.data_dir / "postgres.start.lock"

    @property
    def users_lock(self) -> Path:
        """Held, shared, by every user of the server."""
        return self.data_dir / "postgres.users.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's processes."""
        return self.data_dir / "postgres.server.lock"


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """One user's share in the server of a data directory; any number of processes and threads may have one."""

    urls: DatabaseUrls
    _place: _Place
    _use: FileLock
    _durable: bool = True

    @classmethod
    def start(cls, data_dir: Path, *, durable: bool = True) -> "EmbeddedPostgres":
        """Attach to the server of `data_dir`, or make and start it; blocks, at most for about a minute.

        `durable=False` is for tests: a crash of the machine loses the data, and the owner may create databases.

        Raises:
            ConfigurationError: it cannot be started; the message says why and what to do.
        """
        if sys.platform == "win32":
            raise ConfigurationError(
                "The embedded PostgreSQL runs on Linux and macOS. Set KYROCHAT_DATABASE_URL to a PostgreSQL server."
            )
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            place = _Place(data_dir.resolve())
            start_lock = FileLock.acquire(place.start_lock, timeout_s=_LOCK_TIMEOUT_S)
            try:
                return cls._start_alone(place, start_lock, durable=durable)
            finally:
                start_lock.release()
        except TimeoutError as error:
            raise ConfigurationError(
                f"Another process has been starting or stopping the database in {data_dir} for {_LOCK_TIMEOUT_S} s."
                " End it, or try again later."
            ) from error
        except OSError as error:
            advice = "Free some space there" if error.errno in _NO_SPACE else "Make it writable for this user"
            raise ConfigurationError(
                f"The data directory {data_dir} cannot be used: {error.strerror} ({error.filename or 'no file'})."
                f" {advice}, or choose another one with KYROCHAT_DATA_DIR."
            ) from error

    @classmethod
    def _start_alone(cls, place: _Place, start_lock: FileLock, *, durable: bool) -> "EmbeddedPostgres":
        use = FileLock.acquire(place.users_lock, shared=True, timeout_s=_LOCK_TIMEOUT_S)
        try:
            server, server_lock = find_server(place.cluster, place.server_lock)
            passwords = read_passwords(place.passwords)
            if server is not None and passwords is None:
                _shut_down_if_unused(place, use)
                use = FileLock.acquire(place.users_lock, shared=True, timeout_s=_LOCK_TIMEOUT_S)
                server, server_lock = find_server(place.cluster, place.server_lock)
            if server is None or passwords is None:
                assert server_lock is not None
                try:
                    passwords = passwords or make_passwords(place.passwords)
                    programs = find_programs(place.cluster)
                    prepare_cluster(place.cluster, programs, passwords, durable=durable, start_lock=start_lock)
                    server = bring_up(place.cluster, programs, server_lock, place.server_lock, durable=durable)
                finally:
                    server_lock.release()
            return cls(_urls(server, passwords), place, use, durable)
        except BaseException:
            use.release()
            raise

    def is_dead(self) -> bool:
        """Whether the server has ended, although we still use it."""
        if not self._use.is_held:
            return False
        if (lock := FileLock.try_acquire(self._place.server_lock)) is None:
            return False
        lock.release()
        return True

    def revive(self) -> None:
        """Start the server again after it died; does nothing when it runs. Blocks as `start` does.

        Raises:
            ConfigurationError: it cannot be started, or not where its users look for it.
        """
        other = EmbeddedPostgres.start(self._place.data_dir, durable=self._durable)
        # Ours is still held, so this share is not the last one.
        other.stop()
        if other.urls != self.urls:
            raise ConfigurationError("The database was started again in another place. Restart this process.")

    def stop(self) -> None:
        """Give up this share; the last one stops the server. Further calls do nothing.

        Raises:
            ConfigurationError: the server did not stop, or somebody else kept starting or stopping it.
        """
        if not self._use.is_held:
            return
        try:
            start_lock = FileLock.acquire(self._place.start_lock, timeout_s=_LOCK_TIMEOUT_S)
        except TimeoutError as error:
            raise ConfigurationError(f"The database was not stopped: {error}.") from error
        finally:
            self._use.release()
        try:
            alone = FileLock.try_acquire(self._place.users_lock)
            if alone is None:
                return
            try:
                shut_down(self._place.cluster, self._place.server_lock)
            finally:
                alone.release()
        finally:
            start_lock.release()


@contextmanager
def running(data_dir: Path, *, durable: bool = True) -> Iterator[DatabaseUrls]:
    """Use the server of `data_dir` for the length of a `with`; see `EmbeddedPostgres.start`."""
    postgres = EmbeddedPostgres.start(data_dir, durable=durable)
    try:
        yield postgres.urls
    finally:
        postgres.stop()


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT) if sys.platform != "win32" else (errno.ENOSPC,)


def _shut_down_if_unused(place: _Place, use: FileLock) -> None:
    """Stop a server whose passwords are lost, so that new ones can be set; `use` is given up."""
    use.release()
    alone = FileLock.try_acquire(place.users_lock)
    if alone is None:
        raise ConfigurationError(
            f"{place.passwords} is missing or damaged, and the database is in use. Stop all other KyroChat processes"
            " of this data directory and start again: new passwords are made then."
        )
    try:
        shut_down(place.cluster, place.server_lock)
    finally:
        alone.release()


def _urls(server: Server, passwords: Passwords) -> DatabaseUrls:
    def url(role: str, password: str) -> str:
        parsed = URL.create(
            "postgresql+asyncpg",
            username=role,
            password=password,
            database=DATABASE,
            # The port too: it is part of the socket's name, and PGPORT in the environment would change it.
            query={"host": str(server.socket_dir), "port": str(PORT)},
        )
        return parsed.render_as_string(hide_password=False)

    return DatabaseUrls(url(OWNER, passwords.owner), url(APP, passwords.app), url(WORKER, passwords.worker))
