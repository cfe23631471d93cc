"""Uploaded bytes in, normalised text out; whatever parses untrusted formats does it in a child process."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from kyrochat.documents.media_types import MediaType
from kyrochat.documents.parse_child import FORMATS, Extracted, JailLimits
from kyrochat.errors import UnreadableDocument

__all__ = ["Extracted", "Extractor", "Limits"]

CHILD = ("-m", "kyrochat.documents.parse_child")

# JSON in UTF-8 takes at most four bytes a character once controls are gone; the rest is for the title.
_BYTES_PER_CHAR = 4
_ENVELOPE_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_GOODBYE_S = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one document may cost."""

    wall_s: float = 60.0
    cpu_s: int = 20
    memory_bytes: int = 1 << 30
    max_chars: int = 2_000_000
    # Text and Markdown up to here are decoded without a child: a child takes 60 ms just to start,
    # this much text 10 ms in a thread, of which no step holds up the event loop for more than 4 ms.
    in_process_bytes: int = 256 * 1024


def _slots() -> asyncio.Semaphore:
    return asyncio.Semaphore(os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Extractor:
    """Reads documents; at most `slots` children run at once, one per CPU by default."""

    limits: Limits = Limits()
    slots: asyncio.Semaphore = field(default_factory=_slots)
    child: tuple[str, ...] = CHILD

    async def extract(self, data: bytes | Path, media_type: str) -> Extracted:
        """Return the text of a document, given as its bytes or as the path of a file that holds them.

        Raises:
            UnreadableDocument: no text can be had of it; the message says why and what to do.
        """
        kind = MediaType(media_type)
        size = len(data) if isinstance(data, bytes) else await asyncio.to_thread(_size_of, data)
        if FORMATS[kind].needs_jail or size > self.limits.in_process_bytes:
            async with self.slots:
                extracted = await self._in_child(data, kind)
        else:
            extracted = await asyncio.to_thread(_in_process, data, kind)
        if len(extracted.text) > self.limits.max_chars:
            raise _too_long(self.limits)
        if not extracted.text.strip():
            raise UnreadableDocument(
                "The document holds no text. If it shows pictures of text, upload the text itself."
            )
        return extracted

    async def _in_child(self, data: bytes | Path, kind: MediaType) -> Extracted:
        with tempfile.TemporaryDirectory(prefix="kyrochat-parse-", ignore_cleanup_errors=True) as directory:
            # A file rather than a pipe: the server holds no second copy, a child that dies early breaks
            # nothing, and since it has no name, a server that is killed leaves nothing of the document.
            with _opened(data) as stdin:
                if isinstance(data, bytes):
                    await asyncio.to_thread(_fill, stdin, data)
                process = await self._start(stdin, kind, directory)
            try:
                async with asyncio.timeout(self.limits.wall_s):
                    reply = await _read_capped(process, self._max_reply_bytes())
                    await process.wait()
            except TimeoutError:
                raise UnreadableDocument(
                    f"The file took more than {self.limits.wall_s:g} s to read. Split it into smaller files."
                ) from None
            except _ReplyTooLong:
                raise _too_long(self.limits) from None
            finally:
                await _kill(process)
        return self._understood(reply, process.returncode or 0)

    async def _start(self, stdin: IO[bytes], kind: MediaType, directory: str) -> Process:
        limits = JailLimits(self.limits.memory_bytes, self.limits.cpu_s, self.limits.max_chars)
        # -I: no user site, no PYTHON* variables, no current directory on the path; -B: nothing is written.
        command = (sys.executable, "-I", "-B", *self.child, kind.value, json.dumps(asdict(limits)))
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *command,
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

    def _max_reply_bytes(self) -> int:
        return _BYTES_PER_CHAR * self.limits.max_chars + _ENVELOPE_BYTES

    def _understood(self, reply: bytes, exit_code: int) -> Extracted:
        if exit_code != 0:
            raise self._crashed(exit_code)
        try:
            fields = json.loads(reply)
            if not fields.keys() & {"unreadable", "too_long", "failed"}:
                return Extracted(**fields)
        except (ValueError, TypeError, AttributeError):  # a parser that ended the process by itself
            raise self._crashed(exit_code) from None
        if "unreadable" in fields:
            raise UnreadableDocument(fields["unreadable"])
        raise _too_long(self.limits) if "too_long" in fields else self._failed(fields["failed"])

    def _failed(self, type_name: str) -> UnreadableDocument:
        log.warning("Reading a document failed: %s.", type_name)
        if type_name == "MemoryError":
            return self._too_big()
        if type_name == "OutOfTime":
            return self._too_slow()
        if type_name == "RecursionError":
            return UnreadableDocument("The file is nested too deeply to read. Save it as plain text and upload that.")
        return UnreadableDocument("The file could not be read; it may be damaged. Save it anew or as plain text.")

    def _crashed(self, exit_code: int) -> UnreadableDocument:
        log.warning("The process that read a document ended with %d.", exit_code)
        if exit_code == -getattr(signal, "SIGXCPU", 0):
            return self._too_slow()
        if exit_code in (-getattr(signal, "SIGKILL", 0), -getattr(signal, "SIGABRT", 0)):
            return self._too_big()
        return UnreadableDocument("The file could not be read; it may be damaged. Save it anew or as plain text.")

    def _too_slow(self) -> UnreadableDocument:
        return UnreadableDocument(
            f"The file took more than {self.limits.cpu_s} s of computing to read. Split it into smaller files."
        )

    def _too_big(self) -> UnreadableDocument:
        mib = self.limits.memory_bytes >> 20
        return UnreadableDocument(f"The file took more than {mib} MiB of memory to read. Split it into smaller files.")


class _ReplyTooLong(Exception):
    pass


def _too_long(limits: Limits) -> UnreadableDocument:
    return UnreadableDocument(
        f"The document holds more than {limits.max_chars:,} characters of text. Split it into smaller files."
    )


def _in_process(data: bytes | Path, kind: MediaType) -> Extracted:
    return FORMATS[kind].parse(data if isinstance(data, bytes) else data.read_bytes())


def _size_of(path: Path) -> int:
    return path.stat().st_size


def _opened(data: bytes | Path) -> IO[bytes]:
    return data.open("rb") if isinstance(data, Path) else tempfile.TemporaryFile()


def _fill(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.seek(0)  # flushes, too


def _environment() -> dict[str, str]:
    # Secrets live in the environment, so the child gets none of it. Windows cannot start Python without this one.
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}


async def _read_capped(process: Process, max_bytes: int) -> bytes:
    assert process.stdout is not None
    reply = bytearray()
    while piece := await process.stdout.read(_READ_BYTES):
        reply += piece
        if len(reply) > max_bytes:
            raise _ReplyTooLong
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
