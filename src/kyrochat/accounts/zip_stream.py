"""A ZIP archive that is written while it is read: what is in memory is a piece of it, whatever its length."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Compressing this much takes longer than handing it to a thread.
_THREAD_BYTES = 32 * 1024
# A chunk of the response; smaller ones are collected.
_FLUSH_BYTES = 64 * 1024
_ZIP64_BYTES = 1 << 31
_MODE = 0o600 << 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive. `size` is about how many bytes it has, if that may be more than 2 GiB."""

    name: str
    pieces: AsyncIterator[bytes]
    is_compressed: bool = False
    size: int = 0


def as_json(content: object) -> bytes:
    """Return JSON as people read it; ids and times become text."""
    return json.dumps(content, ensure_ascii=False, indent=2, default=str).encode("utf-8", "replace")


def json_entry(name: str, content: object) -> Entry:
    """Return an entry with some JSON that is small enough to be at hand."""
    return Entry(name, _once(as_json(content)))


async def json_list(items: AsyncIterator[object]) -> AsyncGenerator[bytes, None]:
    """Yield a JSON array, item by item."""
    separator = b"["
    async for item in items:
        yield separator + as_json(item)
        separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


class _Sink(io.RawIOBase):
    """What the archive is written to, and taken from; it cannot be sought in, so nothing is changed afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        piece = bytes(data)
        self._written.append(piece)
        self.size += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._written)
        self._written.clear()
        self.size = 0
        return taken


async def zip_pieces(entries: AsyncIterable[Entry]) -> AsyncGenerator[bytes, None]:
    """Yield the archive of the entries, in order. Names are the caller's: never a client's."""
    sink, now = _Sink(), datetime.now(UTC)
    with zipfile.ZipFile(sink, "w") as archive:
        async for entry in entries:
            info = zipfile.ZipInfo(entry.name, now.timetuple()[:6])
            info.compress_type = zipfile.ZIP_STORED if entry.is_compressed else zipfile.ZIP_DEFLATED
            info.external_attr = _MODE
            with archive.open(info, "w", force_zip64=entry.size >= _ZIP64_BYTES) as file:
                async for piece in entry.pieces:
                    if len(piece) > _THREAD_BYTES:
                        await asyncio.to_thread(file.write, piece)
                    else:
                        file.write(piece)
                    if sink.size >= _FLUSH_BYTES:
                        yield sink.take()
    yield sink.take()
