"""A cluster on disk: made whole or not at all, checked before use, and its roles kept as they should be."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from kyrochat.db.file_lock import FileLock
from kyrochat.db.postgres_config import write_configuration
from kyrochat.db.postgres_programs import MAJOR_VERSION, Programs, data_directory_argument
from kyrochat.db.private_file import sync_directory, write_private
from kyrochat.db.roles import DATABASE, Passwords, role_statements
from kyrochat.errors import ConfigurationError

_UNFINISHED_PREFIX = ".postgres-unfinished-"
# Says that KyroChat made the cluster, and which state of its roles was last written.
_ROLES_MARKER = "kyrochat.roles"
_INITDB = (
    "initdb",
    "--username=postgres",
    # Its superuser gets no password, so no login can ever succeed: our own work is done in single-user mode.
    "--auth=reject",
    "--data-checksums",
    "--encoding=UTF8",
    # The same order and letter cases on every machine, whatever its C library.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    "--no-sync",
)


def prepare_cluster(
    cluster: Path, programs: Programs, passwords: Passwords, *, durable: bool, start_lock: FileLock
) -> None:
    """Leave a complete, stopped cluster with our roles, passwords and database; repeating it is cheap.

    A new cluster is built beside its place and moved there when it is complete. The programs keep `start_lock` open:
    when we are killed, nobody else starts before they have ended too.

    Raises:
        ConfigurationError: something else is in its place, or a program failed.
    """
    for leftover in cluster.parent.glob(f"{_UNFINISHED_PREFIX}*"):
        shutil.rmtree(leftover)
    if cluster.exists() and (not cluster.is_dir() or any(cluster.iterdir())):
        _check(cluster)
        _give(cluster, programs.owner)
        _set_roles(cluster, programs, passwords, durable=durable, start_lock=start_lock)
        return
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=cluster.parent))
    try:
        _give(unfinished, programs.owner)
        keep_open = [start_lock.descriptor]
        in_place = ["-D", data_directory_argument(unfinished)]
        programs.run([*_INITDB, *in_place], cluster=unfinished, keep_open=keep_open)
        # Nobody listens yet: the server's start writes the directory of its socket.
        write_configuration(unfinished, socket_dir=Path(), durable=False, owner=programs.owner)
        _run_as_superuser([f"CREATE DATABASE {DATABASE}"], "postgres", unfinished, programs, start_lock=start_lock)
        _set_roles(unfinished, programs, passwords, durable=durable, start_lock=start_lock)
        if durable:
            programs.run(["initdb", "--sync-only", *in_place], cluster=unfinished, keep_open=keep_open)
        unfinished.rename(cluster)
        sync_directory(cluster.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _check(cluster: Path) -> None:
    """Refuse what we did not make: its owner would not want it changed."""
    elsewhere = "Move it away, or choose another data directory with KYROCHAT_DATA_DIR."
    version_file = cluster / "PG_VERSION"
    if not version_file.is_file():
        raise ConfigurationError(f"{cluster} holds files, but no PostgreSQL cluster. {elsewhere}")
    found = version_file.read_text(encoding="utf-8").strip()
    if found != MAJOR_VERSION:
        raise ConfigurationError(
            f"{cluster} was made by PostgreSQL {found}, and this KyroChat brings {MAJOR_VERSION}. Dump it with the"
            f" KyroChat that made it and restore it into a new data directory. {elsewhere}"
        )
    if not (cluster / _ROLES_MARKER).is_file():
        raise ConfigurationError(f"{cluster} is a PostgreSQL cluster that KyroChat did not make. {elsewhere}")


def _give(directory: Path, owner: tuple[int, int] | None) -> None:
    """Hand `directory` and all in it to `owner` if it is root's, as after a restore; itself last: then all is done."""
    if owner is None or directory.stat().st_uid == owner[0]:
        return
    for path in directory.rglob("*"):
        os.chown(path, *owner, follow_symlinks=False)
    directory.chmod(0o700)
    os.chown(directory, *owner)


def _set_roles(cluster: Path, programs: Programs, passwords: Passwords, *, durable: bool, start_lock: FileLock) -> None:
    """Write roles, passwords and rights, unless the marker says that they are as they should be.

    So a restored or renewed password file, another pgvector, and a newer KyroChat all take effect at the next start.
    """
    statements = role_statements(passwords, owner_may_create_databases=not durable)
    extension = next(programs.directory.parent.glob("share/**/extension/vector.control"))
    state = hashlib.sha256("\n".join([*statements, extension.read_text(encoding="utf-8")]).encode()).hexdigest()
    marker = cluster / _ROLES_MARKER
    if marker.exists() and marker.read_text(encoding="utf-8") == state:
        return
    _run_as_superuser(statements, DATABASE, cluster, programs, start_lock=start_lock)
    write_private(marker, state, owner=programs.owner)


def _run_as_superuser(
    statements: list[str], database: str, cluster: Path, programs: Programs, *, start_lock: FileLock
) -> None:
    """Run SQL on a stopped cluster; it needs no password, and it is on no command line and in no log."""
    programs.run(
        # -j: a statement ends with a semicolon and an empty line.
        ["postgres", "--single", "-j", "-D", data_directory_argument(cluster), "-c", "exit_on_error=on", database],
        cluster=cluster,
        text="".join(f"{statement};\n\n" for statement in statements),
        keep_open=[start_lock.descriptor],
    )
