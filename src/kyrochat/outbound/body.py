"""The body of an answer, bounded while it comes in: as it is sent, and as it is unpacked."""

import zlib
from collections.abc import AsyncIterable, Iterator

from kyrochat.errors import FetchFailed

_GZIP = 16 + zlib.MAX_WBITS
_STEP_BYTES = 256 * 1024


async def read_body(pieces: AsyncIterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """Return the whole body, unpacked if `encoding` (the Content-Encoding header) is gzip.

    Raises:
        FetchFailed: it has more than `max_bytes`, is packed otherwise, or damaged.
    """
    encoding = encoding.strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise FetchFailed(
            "The site sends the page packed in a way that was not asked for. Download it and upload the file."
        )
    body = bytearray()
    unpacked = _Gunzip() if encoding.endswith("gzip") else None
    async for piece in pieces:
        for part in unpacked.feed(piece) if unpacked else (piece,):
            body += part
            if len(body) > max_bytes:
                raise too_large(max_bytes)
    if unpacked and body and not unpacked.is_whole:
        raise damaged()
    return bytes(body)


def gunzip(data: bytes, max_bytes: int) -> bytes:
    """Return what a gzip file holds.

    Raises:
        FetchFailed: it holds more than `max_bytes`, or is damaged.
    """
    unpacked, body = _Gunzip(), bytearray()
    for part in unpacked.feed(data):
        body += part
        if len(body) > max_bytes:
            raise too_large(max_bytes)
    if not unpacked.is_whole:
        raise damaged()
    return bytes(body)


class _Gunzip:
    """Unpacks step by step, so that whoever asks for the next one knows how much there is already."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)

    @property
    def is_whole(self) -> bool:
        return self._inflate.eof

    def feed(self, piece: bytes) -> Iterator[bytes]:
        while piece and not self._inflate.eof:  # what follows the end is no part of the page
            try:
                yield self._inflate.decompress(piece, _STEP_BYTES)
            except zlib.error:
                raise damaged() from None
            piece = self._inflate.unconsumed_tail


def too_large(max_bytes: int) -> FetchFailed:
    """Return the failure of a page that has more than `max_bytes`."""
    return FetchFailed(
        f"The page has more than {max_bytes / (1 << 20):g} MiB. Download it, split it, and upload the parts."
    )


def damaged() -> FetchFailed:
    """Return the failure of a page that came incomplete."""
    return FetchFailed("The page came damaged or incomplete. Try again later.", retryable=True)
