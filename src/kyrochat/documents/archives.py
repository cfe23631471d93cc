"""Checks of ZIP containers, before a parser unpacks them: what Office and EPUB files are made of.

Only the directory is read, with the same module that the parsers use, so that both see the same parts. What it
declares binds them: no more of a part is unpacked than its declared size.
"""

import zipfile
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, BinaryIO, cast

from kyrochat.documents.media_types import MediaType
from kyrochat.errors import UnreadableDocument

MAX_PARTS = 5_000
MAX_DIRECTORY_BYTES = 2 << 20
MAX_UNPACKED_BYTES = 200 << 20
MAX_RATIO = 100  # ordinary Office files unpack to 2 to 20 times their size
RATIO_FREE_BYTES = 1 << 20  # up to here a part may be as dense as it likes: empty sheets are

_ENCRYPTED = 0x1
_NESTED = (".zip", ".7z", ".rar", ".gz", ".tar", ".jar", ".docx", ".pptx", ".xlsx", ".epub")
_EMBEDDED = "/embeddings/"  # charts bring their data along in these; nobody unpacks them

DAMAGED = "The file is damaged or incomplete. Save it anew and upload that."
# What `zipfile` raises for damaged archives (found by damaging 250,000 at random): only the first is its own.
DAMAGED_ARCHIVE = (
    zipfile.BadZipFile,
    NotImplementedError,  # a version, or a way to pack or to encrypt, that it does not know
    ValueError,  # a name that is not UTF-8; a part that starts before the file
    OverflowError,  # a part that starts beyond any file
    EOFError,  # a part that ends early
    zlib.error,  # a part that is not packed as it says
)
_MAIN_PARTS = {
    "word/document.xml": MediaType.DOCX,
    "ppt/presentation.xml": MediaType.PPTX,
    "xl/workbook.xml": MediaType.XLSX,
    "META-INF/container.xml": MediaType.EPUB,
}
_FOLDERS = {"word/": MediaType.DOCX, "ppt/": MediaType.PPTX, "xl/": MediaType.XLSX}


def check_archive(file: BinaryIO) -> MediaType:
    """Return what a ZIP container holds, by the names of its parts.

    Raises:
        UnreadableDocument: it is damaged, protected, a bomb, or no document.
    """
    try:
        with zipfile.ZipFile(cast("BinaryIO", _DirectoryOnly(file))) as archive:
            parts = archive.infolist()
    except DAMAGED_ARCHIVE as error:
        raise UnreadableDocument(DAMAGED) from error
    _check_parts(parts)
    return _kind([part.filename for part in parts])


class _DirectoryOnly:
    """A file of which no more is read at once than a directory may have: what the archive says of it may be a lie."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)

    def read(self, size: int = -1) -> bytes:
        if (size if size >= 0 else self._size - self._file.tell()) > MAX_DIRECTORY_BYTES:
            raise _too_many()
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)  # seek, tell, seekable, close


def _check_parts(parts: Sequence[zipfile.ZipInfo]) -> None:
    if not parts:
        raise UnreadableDocument("The archive is empty. Choose a file that holds text.")
    if len(parts) > MAX_PARTS:
        raise _too_many()
    if any(part.flag_bits & _ENCRYPTED for part in parts):
        raise UnreadableDocument("The file is protected with a password. Save it without one and upload that.")
    names = [part.filename for part in parts]
    if len(set(names)) < len(names):
        raise UnreadableDocument("The file holds two parts of the same name. Save it anew and upload that.")
    if any(_leads_out(name) for name in names):
        raise UnreadableDocument("The file holds parts whose names lead out of it. Save it anew and upload that.")
    if any(name.lower().endswith(_NESTED) and _EMBEDDED not in name for name in names):
        raise UnreadableDocument("The file holds other archives. Unpack it and upload the documents inside.")
    _check_sizes(parts)


def _check_sizes(parts: Sequence[zipfile.ZipInfo]) -> None:
    total = sum(part.file_size for part in parts)
    if total > MAX_UNPACKED_BYTES:
        raise UnreadableDocument(
            f"The file would unpack to more than {MAX_UNPACKED_BYTES >> 20} MiB. Split it into smaller files."
        )
    if any(part.file_size > RATIO_FREE_BYTES + MAX_RATIO * part.compress_size for part in parts):
        raise UnreadableDocument(
            f"The file unpacks to more than {MAX_RATIO} times its size, as harmful files do. Save it anew, or as PDF."
        )
    in_order = sorted(parts, key=lambda part: part.header_offset)
    if any(one.header_offset + one.compress_size > two.header_offset for one, two in pairwise(in_order)):
        raise UnreadableDocument(DAMAGED)  # parts that share their bytes: a bomb that its sizes do not show


def _leads_out(name: str) -> bool:
    path = name.replace("\\", "/")
    return path.startswith("/") or path[1:2] == ":" or ".." in path.split("/")


def _kind(names: Sequence[str]) -> MediaType:
    for name in names:
        if name in _MAIN_PARTS:
            return _MAIN_PARTS[name]
    if "[Content_Types].xml" in names:  # the main part may have another name
        for folder, kind in _FOLDERS.items():
            if any(name.startswith(folder) for name in names):
                return kind
    if "content.xml" in names and "mimetype" in names:
        raise UnreadableDocument(
            "OpenDocument files (.odt, .ods, .odp) cannot be read; save the document as DOCX, XLSX, PPTX or PDF."
        )
    raise UnreadableDocument("ZIP archives cannot be read; unpack it and upload the files inside.")


def _too_many() -> UnreadableDocument:
    return UnreadableDocument(f"The file holds more than {MAX_PARTS:,} parts. Split it into smaller files.")
