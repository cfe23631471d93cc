"""For tests of the jail: children whose parser is a piece of code, and a look at what runs and what it takes."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

in_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

JAILED = """
import os, sys, json, time, signal, subprocess
from kyrochat.documents import jail, parse_child
from kyrochat.documents.extracted import Extracted
from kyrochat.documents.formats.readers import FORMATS, Format
from kyrochat.documents.media_types import MediaType
def parse(data):
{body}
FORMATS[MediaType.HTML] = Format(parse)
parse_child.main(sys.argv[1], sys.argv[2])
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """Return the arguments that run a child whose parser is the given code, in the real jail."""

    def written(body: str) -> tuple[str, ...]:
        path = tmp_path / "child.py"
        path.write_text(JAILED.format(body="\n".join(f"    {line}" for line in body.splitlines())))
        return (str(path),)

    return written


def alive(pid: int) -> bool:
    """A zombie counts: nobody may be left to be reaped."""
    return Path(f"/proc/{pid}").exists()


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found.update(map(int, (task / "children").read_text().split()))
    return found


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.01)


def resident_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
