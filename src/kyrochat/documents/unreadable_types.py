"""Formats that are known and cannot be read, and what to do about each."""

from kyrochat.errors import UnreadableDocument

SAVE_AS = "save the document as PDF, DOCX or plain text and upload that"
_TYPE_IN = "upload the text itself instead"
_UNPACK = "unpack it and upload the files inside"

# Signature at the start of the file -> (what it is, what to do about it).
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (b"%!PS", "PostScript files", SAVE_AS),
    (b"{\\rtf", "RTF files", SAVE_AS),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "old Office files (.doc, .xls, .ppt, .msg) and Office files with a password",
        "save the document as DOCX, XLSX, PPTX or EML without a password and upload that",
    ),
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
    (b"SQLite format 3\x00", "databases", "export what matters as CSV and upload that"),
)

# A text under such a name is not what its owner takes it for: mostly a saved log-in or error page.
BINARY_EXTENSIONS = frozenset([
    ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".odp", ".epub", ".rtf", ".zip", ".gz",
    ".7z", ".rar", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".mp3", ".mp4", ".exe",
])  # fmt: skip


def refuse_known(head: bytes) -> None:
    """Check the start of a file for the signatures of these formats.

    Raises:
        UnreadableDocument: it has one; the message says which and what to do.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, what, remedy in _REFUSED:
        if start.startswith(signature) or head.startswith(signature):
            raise UnreadableDocument(f"{what[0].upper()}{what[1:]} cannot be read; {remedy}.")
    if head[4:8] == b"ftyp":  # MP4, HEIC and their relatives put their length first
        raise UnreadableDocument(f"Images, sound and video cannot be read; {_TYPE_IN}.")
