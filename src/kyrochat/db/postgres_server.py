"""The running server of a cluster: found, brought up, and shut down.

Whether it runs is told by a lock that its processes inherit, not by a process id: ids are reused, and a copied data
directory carries the id of the original's server.
"""

import os
import re
import secrets
import signal
import socket
import stat
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kyrochat.db.file_lock import POLL_S, FileLock
from kyrochat.db.postgres_config import LOG_DIRECTORY, PORT, configured_socket_dir, write_configuration
from kyrochat.db.postgres_programs import Programs, data_directory_argument, last_words
from kyrochat.db.roles import APP, DATABASE
from kyrochat.errors import ConfigurationError

START_TIMEOUT_S = 60
_RECOVERY_TIMEOUT_S = 15
_FAST_STOP_TIMEOUT_S = 30
_IMMEDIATE_STOP_TIMEOUT_S = 10

_REPLY_TIMEOUT_S = 1
# Each question that a recovering server refuses is a line in its log.
_RECOVERY_POLL_S = 0.05
# The first message of PostgreSQL's protocol, version 3.0; its reply asks for a password, or is an error with a code.
_PARAMETERS = f"user\0{APP}\0database\0{DATABASE}\0\0".encode()
_HELLO = struct.pack("!ii", 8 + len(_PARAMETERS), 3 << 16) + _PARAMETERS
_CANNOT_CONNECT_NOW = b"57P03"

_SOCKET_DIR_PREFIX = "kyrochat-pg-"
_STARTUP_LOG = "startup.log"
# A socket's path has room for 103 bytes on macOS; letters that would need quoting are not worth it.
_MAX_PARENT_CHARS = 60
_PLAIN_PATH = re.compile(r"[\w/.+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Server:
    """What `postmaster.pid` says about the server."""

    process_id: int
    socket_dir: Path
    is_ready: bool

    def accepts(self) -> bool:
        """Tell whether clients can log in: not while it recovers from a crash, or shuts down."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                _connect(connection, self.socket_dir)
                connection.sendall(_HELLO)
                reply = connection.recv(1024)
            except OSError:
                return False
        return bool(reply) and _CANNOT_CONNECT_NOW not in reply


def find_server(
    cluster: Path, server_lock_path: Path, *, timeout_s: float = START_TIMEOUT_S
) -> tuple[Server, None] | tuple[None, FileLock]:
    """Return the running server, or the lock that proves there is none and has to be given to the next one.

    Waits for a server that is starting or shutting down, and for processes that outlive a killed one.

    Raises:
        ConfigurationError: one runs, but cannot be reached, for `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        server = _read(cluster)
        if (lock := FileLock.try_acquire(server_lock_path)) is not None:
            return None, lock
        if server is not None and server.is_ready and server.accepts():
            return server, None
        if time.monotonic() > deadline:
            known = "" if server is None else f" (process {server.process_id})"
            raise ConfigurationError(
                f"The PostgreSQL server of {cluster}{known} runs, but has not become reachable for {timeout_s:.0f} s."
                f" It may still be recovering: try again later, or see its log in {cluster / LOG_DIRECTORY}."
            )
        time.sleep(POLL_S if server is None or not server.is_ready else _RECOVERY_POLL_S)


def bring_up(cluster: Path, programs: Programs, server_lock: FileLock, lock_path: Path, *, durable: bool) -> Server:
    """Start the server, which takes over `server_lock`, and return it when it accepts connections.

    Raises:
        ConfigurationError: it ended, or took longer than `START_TIMEOUT_S`.
    """
    last_socket_dir = configured_socket_dir(cluster)
    _remove_socket_dir(last_socket_dir)
    # PostgreSQL would take a reused process id for a running server. The lock says that there is none.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    socket_dir = _new_socket_dir(programs.owner, last_socket_dir)
    # Written before it is made: when we are killed in between, the next start knows what to remove.
    write_configuration(cluster, socket_dir=socket_dir, durable=durable, owner=programs.owner)
    socket_dir.mkdir(mode=0o700)
    if programs.owner is not None:
        os.chown(socket_dir, *programs.owner)
    logged_bytes = {path: path.stat().st_size for path in (cluster / LOG_DIRECTORY).glob("postgresql-*.log")}
    # The shell ends at once, so the server is nobody's child: whoever started it may leave before the others do.
    launch = f'mkdir -p {LOG_DIRECTORY} && {{ "$@" >{LOG_DIRECTORY}/{_STARTUP_LOG} 2>&1 </dev/null & }}'
    server_command = [str(programs.directory / "postgres"), "-D", data_directory_argument(cluster)]
    try:
        programs.run(
            ["/bin/sh", "-c", launch, "sh", *server_command],
            cluster=cluster,
            keep_open=[server_lock.descriptor],
        )
    finally:
        server_lock.release()
    server, lock = find_server(cluster, lock_path)
    if server is not None:
        return server
    assert lock is not None
    lock.release()
    _remove_socket_dir(socket_dir)
    raise ConfigurationError(f"PostgreSQL did not start: {_last_words_in_logs(cluster, since=logged_bytes)}")


def shut_down(cluster: Path, server_lock_path: Path) -> None:
    """End the server and its connections, and wait until all its processes are gone.

    Raises:
        ConfigurationError: it did not end.
    """
    # PostgreSQL 18 never finishes a fast shutdown that reaches it while it recovers from a crash: let it recover first.
    with suppress(ConfigurationError):
        _, lock = find_server(cluster, server_lock_path, timeout_s=_RECOVERY_TIMEOUT_S)
        if lock is not None:
            lock.release()
    for ending, timeout_s in (
        (signal.SIGINT, _FAST_STOP_TIMEOUT_S),
        (signal.SIGQUIT, _IMMEDIATE_STOP_TIMEOUT_S),
    ):
        server = _read(cluster)
        # A server that has died leaves processes that end by themselves; its id may be another program's by now.
        if server is not None and _listens(server.socket_dir):
            with suppress(ProcessLookupError):
                os.kill(server.process_id, ending)
        try:
            lock = FileLock.acquire(server_lock_path, timeout_s=timeout_s)
        except TimeoutError:
            continue
        _remove_socket_dir(configured_socket_dir(cluster))
        lock.release()
        return
    raise ConfigurationError(f"The PostgreSQL server of {cluster} did not stop.")


def _listens(socket_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _connect(connection, socket_dir)
        except OSError:
            return False
    return True


def _connect(connection: socket.socket, socket_dir: Path) -> None:
    connection.settimeout(_REPLY_TIMEOUT_S)
    connection.connect(str(socket_dir / f".s.PGSQL.{PORT}"))


def _read(cluster: Path) -> Server | None:
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    try:
        return Server(
            process_id=int(lines[0]),
            socket_dir=Path(lines[4]),
            is_ready=len(lines) > 7 and lines[7].strip() == "ready",
        )
    except (IndexError, ValueError):
        return None  # it is being written


def _new_socket_dir(owner: tuple[int, int] | None, last: Path) -> Path:
    """Return a short path that nothing has yet, which `owner` can reach: the data directory's may be too long.

    The `last` one if it is free, so that the users of a server that died find the next one where it was.
    """
    if last.name.startswith(_SOCKET_DIR_PREFIX) and last.parent.is_dir() and not os.path.lexists(last):
        return last
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - made anew by its mkdir, for us alone
        plain = len(str(parent)) <= _MAX_PARENT_CHARS and _PLAIN_PATH.fullmatch(str(parent))
        if plain and (owner is None or _others_may_enter(parent)):
            return parent / f"{_SOCKET_DIR_PREFIX}{secrets.token_hex(6)}"
    raise ConfigurationError("PostgreSQL's socket needs a short directory: make /tmp enterable for all, or set TMPDIR.")


def _others_may_enter(directory: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (directory, *directory.parents))


def _remove_socket_dir(directory: Path) -> None:
    """Remove what a server left; one that listens belongs to the data directory that ours was copied from."""
    if not directory.name.startswith(_SOCKET_DIR_PREFIX) or _listens(directory):
        return
    with suppress(OSError):
        for path in directory.glob(".s.PGSQL.*"):
            path.unlink()
        directory.rmdir()


def _last_words_in_logs(cluster: Path, *, since: dict[Path, int]) -> str:
    """Return why the server ended. Its first lines are in one file, and what follows once it has opened its log in it.

    `since` has the bytes that each log had before.
    """
    directory = cluster / LOG_DIRECTORY
    lines = ""
    for path in (directory / _STARTUP_LOG, *directory.glob("postgresql-*.log")):
        if path.exists():
            lines += path.read_bytes()[since.get(path, 0) :].decode(errors="replace")
    return last_words(lines)
