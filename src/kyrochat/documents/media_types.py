"""What an uploaded file really is, told by its content; the client's own claim never counts."""

import re
from enum import StrEnum
from pathlib import PurePath

from kyrochat.documents.decoding import decode_head, looks_binary
from kyrochat.documents.unreadable_types import BINARY_EXTENSIONS, SAVE_AS, refuse_known
from kyrochat.errors import UnreadableDocument

HEAD_BYTES = 8192  # as much of a file as `detect` wants to see

_SNIFFED_CHARS = 1024  # browsers decide within about this much, too
_OPEN_XML = "application/vnd.openxmlformats-officedocument."


class MediaType(StrEnum):
    """The formats that can be read; the values are what is stored and served."""

    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    SOURCE = "text/x-source"
    HTML = "text/html"
    CSV = "text/csv"
    TSV = "text/tab-separated-values"
    JSON = "application/json"
    JSON_LINES = "application/x-ndjson"
    EMAIL = "message/rfc822"
    PDF = "application/pdf"
    DOCX = _OPEN_XML + "wordprocessingml.document"
    PPTX = _OPEN_XML + "presentationml.presentation"
    XLSX = _OPEN_XML + "spreadsheetml.sheet"
    EPUB = "application/epub+zip"


_SOURCE_EXTENSIONS = """
    .bash .bat .c .cc .cfg .clj .cmake .cpp .cs .css .dart .ex .exs .f90 .fish .go .gql .gradle .graphql .groovy .h
    .hpp .hs .ini .java .jl .js .jsx .kt .kts .less .lua .m .mjs .ml .nix .php .pl .pm .proto .ps1 .py .pyi .r .rb .rs
    .scala .scss .sh .sql .svelte .swift .tf .toml .ts .tsx .vb .vue .yaml .yml .zig .zsh
"""
_EXTENSIONS = {
    ".md": MediaType.MARKDOWN,
    ".markdown": MediaType.MARKDOWN,
    ".htm": MediaType.HTML,
    ".html": MediaType.HTML,
    ".xhtml": MediaType.HTML,
    ".csv": MediaType.CSV,
    ".tsv": MediaType.TSV,
    ".tab": MediaType.TSV,
    ".json": MediaType.JSON,
    ".geojson": MediaType.JSON,
    ".jsonl": MediaType.JSON_LINES,
    ".ndjson": MediaType.JSON_LINES,
    ".eml": MediaType.EMAIL,
} | dict.fromkeys(_SOURCE_EXTENSIONS.split(), MediaType.SOURCE)

# Folder of the parts -> what the container is. The first names of a file give a hint, its directory decides.
_PARTS = {
    b"word/": MediaType.DOCX,
    b"ppt/": MediaType.PPTX,
    b"xl/": MediaType.XLSX,
    b"META-INF/container.xml": MediaType.EPUB,
    b"mimetypeapplication/epub+zip": MediaType.EPUB,
}
_ZIPPED_EXTENSIONS = {
    ".docx": MediaType.DOCX,
    ".pptx": MediaType.PPTX,
    ".xlsx": MediaType.XLSX,
    ".xlsm": MediaType.XLSX,
    ".epub": MediaType.EPUB,
}
ZIPPED = frozenset(_ZIPPED_EXTENSIONS.values())
_ZIP_START, _EMPTY_ZIP = b"PK\x03\x04", b"PK\x05\x06"
_LOCAL_HEADER_BYTES = 30

_HTML_STARTS = ("<!doctype html", "<html", "<head", "<body")
_HTML_MARKS = ("<html", "<body", "</p>", "</div>", "</h1>", "</h2>", "</table>", "</ul>", "<br>", "<br/>", "</title>")
_HEADER_LINE = re.compile(r"[!-9;-~]{1,100}:|[ \t]|From ")
_MAIL_HEADERS = re.compile(r"^(?:from|to|cc|date|subject|message-id|received|return-path|delivered-to):", re.I | re.M)
_SURE_MAIL_HEADERS = re.compile(r"(?:return-path|received|delivered-to|mime-version|message-id|x-[\w-]{1,60}):", re.I)


def detect(head: bytes, filename: str | None = None) -> MediaType:
    """Return the format of the file that starts with `head`, its first `HEAD_BYTES` bytes (or all of it).

    Content decides. The extension only separates the kinds of plain text from each other. What a container
    (DOCX, PPTX, XLSX, EPUB) really holds is not known before its directory at the end is read.

    Raises:
        UnreadableDocument: empty, binary, of a format that cannot be read, or not what its name says.
    """
    if not head:
        raise UnreadableDocument("The file is empty. Choose a file that holds text.")
    extension = _extension(filename)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"%PDF-"):
        return MediaType.PDF
    if head.startswith((_ZIP_START, _EMPTY_ZIP)):
        return _kind_of_zip(head, extension)
    refuse_known(head)
    text = decode_head(head)
    if looks_binary(text):
        raise UnreadableDocument(f"The file holds binary data, not text; {SAVE_AS}.")
    if extension in BINARY_EXTENSIONS:
        raise UnreadableDocument(
            f"The name ends in {extension}, but the file holds text. Check that it is the right file, and rename it."
        )
    return _kind_of_text(text, _EXTENSIONS.get(extension, MediaType.TEXT))


def _kind_of_zip(head: bytes, extension: str) -> MediaType:
    at = head.find(_ZIP_START)
    while at >= 0:
        name = head[at + _LOCAL_HEADER_BYTES : at + _LOCAL_HEADER_BYTES + 60]
        for prefix, kind in _PARTS.items():
            if name.startswith(prefix):
                return kind
        at = head.find(_ZIP_START, at + 4)
    if extension in _ZIPPED_EXTENSIONS:
        return _ZIPPED_EXTENSIONS[extension]
    raise UnreadableDocument("ZIP archives cannot be read; unpack it and upload the files inside.")


def _kind_of_text(text: str, named: MediaType) -> MediaType:
    sniffed = text.lstrip("\ufeff \t\r\n")[:_SNIFFED_CHARS].lower()
    if sniffed.startswith("<?xml") and "<html" in sniffed:
        return MediaType.HTML
    if sniffed.startswith("<!--"):
        _, _, sniffed = sniffed.partition("-->")
        sniffed = sniffed.lstrip()
    if sniffed.startswith(_HTML_STARTS):
        return MediaType.HTML
    # Markdown may hold tags, and a plain text may talk about them: there the name has the say.
    if named is MediaType.HTML:
        return MediaType.HTML if "<" in text and ">" in text else MediaType.TEXT
    if named is MediaType.EMAIL:
        return MediaType.EMAIL if _looks_like_mail(text) else MediaType.TEXT
    if named is MediaType.TEXT and sniffed.startswith("<") and any(mark in sniffed for mark in _HTML_MARKS):
        return MediaType.HTML
    if named is MediaType.TEXT and _SURE_MAIL_HEADERS.match(sniffed) and _looks_like_mail(text):
        return MediaType.EMAIL
    return named


def _looks_like_mail(text: str) -> bool:
    """Return whether the text begins with header lines of which two belong to mails."""
    headers, _, _ = text.lstrip("\ufeff\r\n").replace("\r\n", "\n").partition("\n\n")
    lines = headers.split("\n")
    if "\n\n" not in text.replace("\r\n", "\n"):
        lines = lines[:-1] or lines  # the last one may be cut
    return len(_MAIL_HEADERS.findall(headers)) >= 2 and all(map(_HEADER_LINE.match, lines))


def _extension(filename: str | None) -> str:
    # Names come from strangers: only the last suffix is looked at, and never as a path.
    return PurePath((filename or "").replace("\\", "/").replace("\x00", "")).suffix.lower()
