"""The bytes of documents, in a directory or a bucket. What is stored is whole: refused uploads leave nothing."""

import asyncio
import errno
import hashlib
import logging
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.store import LocalStore, ObjectStore

from kyrochat.errors import ConfigurationError, InvalidInput, Overloaded

_KEY = re.compile(r"[0-9a-f-]{1,64}(/[0-9a-f-]{1,64}){0,7}")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BUFFER_BYTES = 1 << 20
_PART_BYTES = 5 << 20  # the least that S3 takes as a part
_PARTS_AT_ONCE = 2  # obstore's own 12 would hold 60 MiB per upload

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """What came in: its size in bytes and its SHA-256 (32 bytes)."""

    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class FileStore:
    """Bytes under keys that the server makes, `<workspace>/<document>/<version>`, in lower-case hexadecimal."""

    store: ObjectStore

    async def put(self, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> Stored:
        """Store all of `chunks` under `key`; readers see the whole or nothing, also while it is replaced.

        Cancelled once all of `chunks` have come, it may have stored them: the caller deletes them then.

        Raises:
            InvalidInput: at `file`, when there are more than `max_bytes`; nothing is stored then.
            Overloaded: there is no room for them; nothing is stored then.
        """
        try:
            return await self._put(_check(key), chunks, max_bytes)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            log.warning("There is no room for files (%s)", errno.errorcode[error.errno or 0])
            raise Overloaded(
                "The server has no room for this file at the moment. Nothing was stored: try again later."
            ) from error

    async def _put(self, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> Stored:
        with tempfile.TemporaryDirectory(prefix="kyrochat-upload-", ignore_cleanup_errors=True) as directory:
            path = Path(directory) / "file"
            # Spooled first: a slow or dying client holds no request to the bucket open and leaves no parts
            # there. (An iterator handed to obstore and cancelled aborts the interpreter at its exit.)
            with _opened(path) as spool:
                stored = await _spool(chunks, spool, max_bytes)
            # A small file as bytes is one request without parts.
            source = path if stored.size > _PART_BYTES else path.read_bytes()
            writing = asyncio.ensure_future(self._write(key, source))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                # A thread of obstore writes on, whoever is cancelled: only when it has ended can the file be deleted.
                await asyncio.wait([writing])
                raise
        return stored

    async def _write(self, key: str, source: Path | bytes) -> None:
        await obstore.put_async(self.store, key, source, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)

    async def get(self, key: str) -> bytes:
        """Return the bytes under `key`.

        Raises:
            FileNotFoundError: there are none.
        """
        found = await obstore.get_async(self.store, _check(key))
        return bytes(await found.bytes_async())

    async def pieces(self, key: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes under `key`, a piece at a time.

        Raises:
            FileNotFoundError: there are none.
        """
        found = await obstore.get_async(self.store, _check(key))
        async for piece in found.stream(min_chunk_size=_BUFFER_BYTES):
            yield bytes(piece)

    async def download(self, key: str, path: Path) -> None:
        """Write the bytes under `key` to a file, a piece at a time.

        Raises:
            FileNotFoundError: there are none.
        """
        found = await obstore.get_async(self.store, _check(key))
        with _opened(path) as file:
            async for piece in found.stream(min_chunk_size=_BUFFER_BYTES):
                await asyncio.to_thread(file.write, piece)

    async def exists(self, key: str) -> bool:
        """Return whether there is something under `key` or, if it ends with `/`, anything below it."""
        if key.endswith("/"):
            return bool(await self._below(key))
        try:
            await obstore.head_async(self.store, _check(key))
        except FileNotFoundError:
            return False
        return True

    async def delete(self, key: str) -> bool:
        """Delete what is under `key` and return whether there was something; nothing there is no error."""
        # Asked first, since S3 does not tell whether a delete met anything.
        if not await self.exists(_check(key)):
            return False
        try:
            await obstore.delete_async(self.store, key)
        except FileNotFoundError:  # someone else was faster
            return False
        return True

    async def delete_prefix(self, prefix: str) -> int:
        """Delete everything below `prefix`, whole segments of a key, and return how many files there were."""
        return sum([await self.delete(key) for key in await self._below(prefix)])

    async def files(self, prefix: str) -> list[tuple[str, datetime]]:
        """Return the keys below `prefix`, whole segments of a key or '' for all, with the time of their last change."""
        within = _check(prefix.removesuffix("/")) if prefix else None
        found = await obstore.list(self.store, prefix=within).collect_async()
        return [(entry["path"], entry["last_modified"]) for entry in found]

    async def _below(self, prefix: str) -> list[str]:
        found = obstore.list(self.store, prefix=_check(prefix.removesuffix("/")))
        return [entry["path"] for entry in await found.collect_async()]


def open_store(url_or_path: str | Path) -> FileStore:
    """Return the store in a directory (made if missing, closed to other users), or behind `s3://`, `gs://`, `az://`.

    Raises:
        ConfigurationError: the directory cannot be used, or the URL is of no known kind.
    """
    address = str(url_or_path)
    if "://" not in address:
        return FileStore(_directory(Path(address).expanduser()))
    from obstore.exceptions import BaseError
    from obstore.store import from_url  # late: most servers never open a bucket

    try:
        # Keys, regions and endpoints come from the vendors' own variables and files.
        return FileStore(from_url(address))
    except (BaseError, ValueError) as error:
        scheme = address.partition("://")[0]
        raise ConfigurationError(
            f"The file store at {scheme}:// cannot be opened. Use a directory, s3://bucket, gs://bucket or az://container."
        ) from error


def _directory(path: Path) -> LocalStore:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Files are made with the process's umask: a closed root keeps other users out whatever that is.
        path.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The directory {path} for documents cannot be used. Make it writable for the server's user."
        ) from error
    return LocalStore(path, mkdir=True, automatic_cleanup=True)


def _check(key: str) -> str:
    # Not an expected failure: keys never come from a client, so a wrong one is a bug.
    if not _KEY.fullmatch(key):
        raise ValueError("A storage key is lower-case hexadecimal segments with slashes between them.")
    return key


def _opened(path: Path) -> BinaryIO:
    return path.open("wb", buffering=_BUFFER_BYTES)


async def _spool(chunks: AsyncIterator[bytes], spool: BinaryIO, max_bytes: int) -> Stored:
    digest = hashlib.sha256()
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise InvalidInput.at("file", f"A file has at most {max_bytes / (1 << 20):g} MiB.")
        digest.update(chunk)
        spool.write(chunk)
    return Stored(size, digest.digest())
