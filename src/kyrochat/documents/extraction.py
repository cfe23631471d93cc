"""Uploaded bytes in, normalised text out; whatever parses untrusted formats does it in a child process."""

import asyncio
import io
import json
import logging
import os
import signal
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from kyrochat.documents.archives import check_archive
from kyrochat.documents.extracted import MAX_CHARS, Extracted
from kyrochat.documents.formats.readers import FORMATS
from kyrochat.documents.jail import JailLimits
from kyrochat.documents.jailed_process import (
    NEEDS_WATCH,
    MemoryExceeded,
    ReplyTooLong,
    jailed_process,
    read_reply,
)
from kyrochat.documents.media_types import ZIPPED, MediaType
from kyrochat.errors import UnreadableDocument

__all__ = ["Extracted", "Extractor", "Limits"]

CHILD = ("-m", "kyrochat.documents.parse_child")

# JSON in UTF-8 takes at most four bytes a character once controls are gone; the rest is for title and pages.
_BYTES_PER_CHAR = 4
_SURELY_TOO_LONG = 2 * _BYTES_PER_CHAR  # bytes of a text for each character; some leave nothing behind
_ENVELOPE_BYTES = 64 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one document may cost."""

    wall_s: float = 50.0  # so that a document has failed within a minute
    cpu_s: int = 20
    memory_bytes: int = 1 << 30
    max_chars: int = MAX_CHARS
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
    watch_memory: bool = NEEDS_WATCH

    async def extract(self, data: bytes | Path, media_type: str) -> Extracted:
        """Return the text of a document, given as its bytes or as the path of a file that holds them.

        Raises:
            UnreadableDocument: no text can be had of it; the message says why and what to do.
        """
        kind = MediaType(media_type)
        size = len(data) if isinstance(data, bytes) else await asyncio.to_thread(_size_of, data)
        if not FORMATS[kind].needs_jail and size > _SURELY_TOO_LONG * self.limits.max_chars:
            raise _too_long(self.limits)
        if not size:
            raise UnreadableDocument("The file is empty. Choose a file that holds text.")
        if kind in ZIPPED:
            kind = await asyncio.to_thread(_check_archive, data)
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
        limits = JailLimits(self.limits.memory_bytes, self.limits.cpu_s, self.limits.max_chars)
        arguments = (*self.child, kind.value, json.dumps(asdict(limits)))
        watched = self.limits.memory_bytes if self.watch_memory else None
        with tempfile.TemporaryDirectory(prefix="kyrochat-parse-", ignore_cleanup_errors=True) as directory:
            # A file rather than a pipe: the server holds no copy, and a child that dies early breaks nothing.
            async with _as_file(data) as stdin, jailed_process(arguments, stdin, directory) as process:
                try:
                    async with asyncio.timeout(self.limits.wall_s):
                        reply = await read_reply(process, self._max_reply_bytes(), watched)
                except TimeoutError:
                    raise UnreadableDocument(
                        f"The file took more than {self.limits.wall_s:g} s to read. Split it into smaller files."
                    ) from None
                except ReplyTooLong:
                    raise _too_long(self.limits) from None
                except MemoryExceeded:
                    raise self._too_big() from None
        return self._understood(reply, process.returncode or 0)

    def _max_reply_bytes(self) -> int:
        return _BYTES_PER_CHAR * self.limits.max_chars + _ENVELOPE_BYTES

    def _understood(self, reply: bytes, exit_code: int) -> Extracted:
        if exit_code != 0:
            raise self._crashed(exit_code)
        try:
            fields = json.loads(reply)
            if not fields.keys() & {"unreadable", "too_long", "failed"}:
                return Extracted(**{**fields, "page_starts": tuple(fields["page_starts"])})
        except (ValueError, TypeError, AttributeError, KeyError):  # a parser that ended the process by itself
            raise self._crashed(exit_code) from None
        if "unreadable" in fields:
            raise UnreadableDocument(fields["unreadable"])
        raise _too_long(self.limits) if "too_long" in fields else self._failed(fields["failed"])

    def _failed(self, type_name: str) -> UnreadableDocument:
        log.warning("Reading a document failed: %s.", type_name)
        if type_name == "MemoryError":
            return self._too_big()
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


def _too_long(limits: Limits) -> UnreadableDocument:
    return UnreadableDocument(
        f"The document holds more than {limits.max_chars:,} characters of text. Split it into smaller files."
    )


def _in_process(data: bytes | Path, kind: MediaType) -> Extracted:
    return FORMATS[kind].parse(data if isinstance(data, bytes) else data.read_bytes())


def _check_archive(data: bytes | Path) -> MediaType:
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        return check_archive(file)


def _size_of(path: Path) -> int:
    return path.stat().st_size


@asynccontextmanager
async def _as_file(data: bytes | Path) -> AsyncGenerator[IO[bytes], None]:
    if isinstance(data, Path):
        with await asyncio.to_thread(data.open, "rb") as file:
            yield file
        return
    # It has no name, so a server that is killed leaves nothing of the document.
    with tempfile.TemporaryFile() as file:
        await asyncio.to_thread(file.write, data)
        file.seek(0)  # flushes, too
        yield file
