"""A PostgreSQL that is not ours: an operator's, as its superuser gets at it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from kyrochat.db.postgres_programs import data_directory_argument, find_programs


@pytest.fixture(scope="session")
def superuser_url() -> Generator[str, None, None]:
    """An operator's PostgreSQL with pgvector, by its superuser: what a stock container gives."""
    directory = Path(tempfile.mkdtemp(prefix="kyrochat-pg-"))
    cluster, sockets = directory / "cluster", directory / "s"
    programs = find_programs(cluster)
    for path in (cluster, sockets):
        path.mkdir(mode=0o700)
    if programs.owner is not None:
        for path in (directory, cluster, sockets):
            os.chown(path, *programs.owner)
    in_place = ["-D", data_directory_argument(cluster)]
    programs.run(
        ["initdb", "--username=boss", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", *in_place],
        cluster=cluster,
    )
    user, group = programs.owner or (None, None)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={sockets}", "-c", "fsync=off"]
    server = subprocess.Popen(
        [str(programs.directory / "postgres"), *in_place, *options],
        cwd=cluster,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not _accepts(sockets / ".s.PGSQL.5432"):
            assert server.poll() is None, "PostgreSQL did not start."
            assert time.monotonic() < deadline, "PostgreSQL did not start in time."
            time.sleep(0.02)
        yield f"postgresql://boss@/postgres?host={sockets}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True
