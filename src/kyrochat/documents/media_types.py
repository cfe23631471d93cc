"""What an uploaded file really is, told by its content; the client's own claim never counts."""

from enum import StrEnum
from pathlib import PurePath

from kyrochat.documents.decoding import decode_head, looks_binary
from kyrochat.errors import UnreadableDocument

HEAD_BYTES = 8192  # as much of a file as `detect` wants to see

_SNIFFED_CHARS = 1024  # browsers decide within about this much, too


class MediaType(StrEnum):
    """The formats that can be read; the values are what is stored and served."""

    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    HTML = "text/html"


_EXTENSIONS = {
    ".md": MediaType.MARKDOWN,
    ".markdown": MediaType.MARKDOWN,
    ".htm": MediaType.HTML,
    ".html": MediaType.HTML,
    ".xhtml": MediaType.HTML,
}

_SAVE_AS = "save the document as HTML, Markdown or plain text and upload that"
_TYPE_IN = "upload the text itself instead"
_UNPACK = "unpack it and upload the files inside"

# Signature at the start of the file -> (what it is, what to do about it).
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "PDF files", _SAVE_AS),
    (b"%!PS", "PostScript files", _SAVE_AS),
    (b"{\\rtf", "RTF files", _SAVE_AS),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office files (.doc, .xls, .ppt)", _SAVE_AS),
    (b"PK\x03\x04", "Office files and ZIP archives", f"{_SAVE_AS}, or unpack the archive first"),
    (b"PK\x05\x06", "empty ZIP archives", "upload the files themselves"),
    (b"\x1f\x8b", "gzip archives", _UNPACK),
    (b"BZh", "bzip2 archives", _UNPACK),
    (b"\xfd7zXZ\x00", "xz archives", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd archives", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archives", _UNPACK),
    (b"Rar!\x1a\x07", "RAR archives", _UNPACK),
    (b"\x89PNG\r\n\x1a\n", "images", _TYPE_IN),
    (b"\xff\xd8\xff", "images", _TYPE_IN),
    (b"GIF87a", "images", _TYPE_IN),
    (b"GIF89a", "images", _TYPE_IN),
    (b"II*\x00", "images", _TYPE_IN),
    (b"MM\x00*", "images", _TYPE_IN),
    (b"RIFF", "images, sound and video", _TYPE_IN),
    (b"OggS", "sound and video", _TYPE_IN),
    (b"ID3", "sound and video", _TYPE_IN),
    (b"fLaC", "sound and video", _TYPE_IN),
    (b"\x1a\x45\xdf\xa3", "sound and video", _TYPE_IN),
    (b"\x7fELF", "programs", _TYPE_IN),
    (b"MZ\x90\x00", "programs", _TYPE_IN),
    (b"\xca\xfe\xba\xbe", "programs", _TYPE_IN),
    (b"\xcf\xfa\xed\xfe", "programs", _TYPE_IN),
    (b"SQLite format 3\x00", "databases", "export what matters as text and upload that"),
)

# A text under such a name is not what its owner takes it for: mostly a saved log-in or error page.
_BINARY_EXTENSIONS = frozenset([
    ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".odp", ".epub", ".rtf", ".zip", ".gz",
    ".7z", ".rar", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".mp3", ".mp4", ".exe",
])  # fmt: skip

_HTML_STARTS = ("<!doctype html", "<html", "<head", "<body")
_HTML_MARKS = ("<html", "<body", "</p>", "</div>", "</h1>", "</h2>", "</table>", "</ul>", "<br>", "<br/>", "</title>")


def detect(head: bytes, filename: str | None = None) -> MediaType:
    """Return the format of the file that starts with `head`, its first `HEAD_BYTES` bytes (or all of it).

    Content decides. The extension only separates Markdown from plain text, and HTML fragments from either.

    Raises:
        UnreadableDocument: empty, binary, of a format that cannot be read, or not what its name says.
    """
    if not head:
        raise UnreadableDocument("The file is empty. Choose a file that holds text.")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, what, remedy in _REFUSED:
        if start.startswith(signature) or head.startswith(signature):
            raise UnreadableDocument(f"{what[0].upper()}{what[1:]} cannot be read yet; {remedy}.")
    if head[4:8] == b"ftyp":  # MP4, HEIC and their relatives put their length first
        raise UnreadableDocument(f"Images, sound and video cannot be read yet; {_TYPE_IN}.")
    text = decode_head(head)
    if looks_binary(text):
        raise UnreadableDocument(f"The file holds binary data, not text; {_SAVE_AS}.")
    extension = _extension(filename)
    if extension in _BINARY_EXTENSIONS:
        raise UnreadableDocument(
            f"The name ends in {extension}, but the file holds text. Check that it is the right file, and rename it."
        )
    return _kind_of_text(text, _EXTENSIONS.get(extension, MediaType.TEXT))


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
    if named is MediaType.TEXT and sniffed.startswith("<") and any(mark in sniffed for mark in _HTML_MARKS):
        return MediaType.HTML
    return named


def _extension(filename: str | None) -> str:
    # Names come from strangers: only the last suffix is looked at, and never as a path.
    return PurePath((filename or "").replace("\\", "/").replace("\x00", "")).suffix.lower()
