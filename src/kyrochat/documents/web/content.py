"""From what came over the web to what is stored: bytes that the rest of the server reads as it reads a file."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from kyrochat.documents.decoding import to_utf8
from kyrochat.documents.incoming import safe_name
from kyrochat.documents.media_types import HEAD_BYTES, MediaType, detect
from kyrochat.documents.unreadable_types import BINARY_EXTENSIONS
from kyrochat.outbound.fetching import Fetched

# Of these the server's word is taken for what only a name tells of an uploaded file.
_NAMED_FOR = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/json": ".json",
    "application/x-ndjson": ".ndjson",
}
_PLAIN = "text/plain"


@dataclass(frozen=True, slots=True)
class Content:
    """What is stored of a page: its bytes, their format and SHA-256."""

    body: bytes
    media_type: MediaType
    sha256: bytes


def content_of(page: Fetched) -> Content:
    """Return what is to be stored. In a thread, please: it may be megabytes.

    Raises:
        UnreadableDocument: it is of a format that cannot be read.
    """
    body = stored_bytes(page)
    return Content(body, detect(body[:HEAD_BYTES], file_name(page)), sha256(body).digest())


def file_name(page: Fetched) -> str:
    """Return a name as if the page had been uploaded. It only helps where the content leaves the format open.

    What is served as text is named for that: an address that ends in `.pdf` may well lead to a page about the file.
    """
    last = PurePosixPath(safe_name(page.address.path) or "page")
    if page.media_type in _NAMED_FOR:
        return str(last.with_suffix(_NAMED_FOR[page.media_type]))
    if page.media_type == _PLAIN and last.suffix.lower() in BINARY_EXTENSIONS:
        return str(last.with_suffix(".txt"))
    return str(last)


def stored_bytes(page: Fetched) -> bytes:
    """Return the body to be stored: text in UTF-8 if the server named its charset, anything else as it came."""
    return to_utf8(page.body, page.charset) if page.media_type in (_PLAIN, *_NAMED_FOR) else page.body
