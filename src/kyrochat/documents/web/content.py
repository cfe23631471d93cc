"""From what came over the web to what is stored: bytes that the rest of the server reads as it reads a file."""

from kyrochat.documents.decoding import to_utf8
from kyrochat.documents.incoming import safe_name
from kyrochat.documents.web.fetching import Fetched

_TEXT_TYPES = {"text/html": ".html", "application/xhtml+xml": ".html", "text/markdown": ".md", "text/plain": ".txt"}


def file_name(page: Fetched) -> str:
    """Return a name as if the page had been uploaded. It only helps where the content leaves the format open.

    What is served as text is named for that: an address that ends in `.pdf` may well lead to a page about the file.
    """
    last = safe_name(page.address.path) or "page"
    suffix = _TEXT_TYPES.get(page.media_type)
    if suffix is None or (suffix == ".txt" and last.lower().endswith((".md", ".markdown"))):
        return last
    return last.rpartition(".")[0] + suffix if "." in last else last + suffix


def stored_bytes(page: Fetched) -> bytes:
    """Return the body to be stored: text in UTF-8 if the server named its charset, anything else as it came.

    In a thread, please: it may be megabytes.
    """
    return to_utf8(page.body, page.charset) if page.media_type in _TEXT_TYPES else page.body
