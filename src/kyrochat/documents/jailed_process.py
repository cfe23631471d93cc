"""Starting, watching and ending the child that reads a file; see `jail` for what it does to itself."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import IO

import psutil

_READ_BYTES = 64 * 1024
_GOODBYE_S = 5.0
_WATCH_EVERY_S = 0.1

# These two do not enforce what a process says about its own memory.
NEEDS_WATCH = sys.platform in ("darwin", "win32")


class ReplyTooLong(Exception):
    """The child wrote more than it may."""


class MemoryExceeded(Exception):
    """The child took more memory than it may, and the system did not stop it."""


@asynccontextmanager
async def jailed_process(arguments: Sequence[str], stdin: IO[bytes], directory: str) -> AsyncGenerator[Process, None]:
    """Run Python with these arguments, in a session of its own; at the end its whole group is killed and reaped."""
    process = await _start(arguments, stdin, directory)
    try:
        yield process
    finally:
        await _kill(process)


async def read_reply(process: Process, max_bytes: int, max_memory_bytes: int | None) -> bytes:
    """Return what the child writes until it ends; with `max_memory_bytes` its memory is watched meanwhile.

    Raises:
        ReplyTooLong, MemoryExceeded: the child is still running then.
    """
    reading = asyncio.create_task(_read_capped(process, max_bytes))
    try:
        if max_memory_bytes is not None:
            await _watch(process, reading, max_memory_bytes)
        reply = await reading
        await process.wait()
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    return reply


async def _watch(process: Process, reading: "asyncio.Task[bytes]", max_bytes: int) -> None:
    try:
        child = psutil.Process(process.pid)
        while not reading.done():
            if child.memory_info().rss > max_bytes:
                raise MemoryExceeded
            await asyncio.wait([reading], timeout=_WATCH_EVERY_S)
    except psutil.Error:  # it has ended
        pass


async def _start(arguments: Sequence[str], stdin: IO[bytes], directory: str) -> Process:
    # -I: no user site, no PYTHON* variables, no current directory on the path; -B: nothing is written.
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", *arguments),
            stdin=stdin,
            stdout=PIPE,
            stderr=DEVNULL,  # tracebacks and warnings hold pieces of the document
            cwd=directory,
            env=_environment(),
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Cancelled between fork and hand-over, there is a child that nobody would know of.
        await _kill(await starting)
        raise


def _environment() -> dict[str, str]:
    # Secrets live in the environment, so the child gets none of it. Windows cannot start Python without this one.
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}


async def _read_capped(process: Process, max_bytes: int) -> bytes:
    assert process.stdout is not None
    reply = bytearray()
    while piece := await process.stdout.read(_READ_BYTES):
        reply += piece
        if len(reply) > max_bytes:
            raise ReplyTooLong
    return bytes(reply)


async def _kill(process: Process) -> None:
    """End the child's whole group and reap the child, even while the caller is being cancelled."""
    _signal_group(process)
    reaping = asyncio.create_task(_reap(process))
    try:
        await asyncio.shield(reaping)
    except asyncio.CancelledError:
        await reaping
        raise


def _signal_group(process: Process) -> None:
    # The group outlives its leader as long as a grandchild is in it, so it is signalled in every case.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


async def _reap(process: Process) -> None:
    # What is still in the pipe has to be read, or the end of the process goes unnoticed.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_S):
            assert process.stdout is not None
            while await process.stdout.read(_READ_BYTES):
                pass
            await process.wait()
