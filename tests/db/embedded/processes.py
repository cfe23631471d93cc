"""Processes that use an embedded PostgreSQL, and what is seen of it from outside."""

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from kyrochat.db.embedded import EmbeddedPostgres

DEADLINE_S = 30

A_USER = """
import pathlib, sys
from kyrochat.db.embedded import EmbeddedPostgres
print("loaded", flush=True)
sys.stdin.readline()
postgres = EmbeddedPostgres.start(pathlib.Path(sys.argv[1]), durable=sys.argv[2] == "durable")
print(postgres.urls.owner, flush=True)
sys.stdin.readline()
postgres.stop()
print("left", flush=True)
"""


class User:
    """Another process that uses the server of a data directory, one step per line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.hear("loaded")

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def hear(self, wanted: str = "") -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert wanted in line
        return line

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def user_of(data_dir: Path, *, durable: bool = False) -> Generator[User, None, None]:
    command = [sys.executable, "-c", A_USER, str(data_dir), "durable" if durable else "fast"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield User(process)
        finally:
            process.kill()


async def rows(url: str, *statements: str) -> list[Row[Any]]:
    """Run the statements in one transaction and return the last one's rows."""
    engine = create_async_engine(url)
    found: list[Row[Any]] = []
    try:
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
                found = list(result.all()) if result.returns_rows else []
    finally:
        await engine.dispose()
    return found


async def refused(url: str, statement: str) -> str:
    with pytest.raises(DBAPIError) as caught:
        await rows(url, statement)
    return str(caught.value.orig)


def postmaster_of(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def is_alive(process_id: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def stop_what_is_left(data_dir: Path) -> None:
    if (data_dir / "postgres" / "postmaster.pid").exists():
        EmbeddedPostgres.start(data_dir, durable=False).stop()


def socket_dir_of(url: str) -> Path:
    return Path(str(make_url(url).query["host"]))


def unfinished(data_dir: Path, name: str = "") -> list[Path]:
    return list(data_dir.glob(f".postgres-unfinished-*/{name}"))


def copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
