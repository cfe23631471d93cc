"""Electronic books (EPUB): the chapters in the order in which they are read."""

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from kyrochat.documents.archives import DAMAGED, DAMAGED_ARCHIVE
from kyrochat.documents.decoding import decode, normalise
from kyrochat.documents.extracted import Extracted, bounded
from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.open_xml import refuse_doctypes
from kyrochat.documents.formats.visible_text import visible_text
from kyrochat.errors import UnreadableDocument

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def parse_epub(data: bytes) -> Extracted:
    """Read a book's chapters and its title; its table of contents is left out.

    Raises:
        UnreadableDocument: it is damaged, protected, or has no chapters.
        TooMuchText: it has more than `MAX_CHARS` characters.
    """
    refuse_doctypes(data, only_entities=True)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_protected(archive)
            package_name, package = _package(archive)
            chapters = list(_chapter_names(package, posixpath.dirname(package_name)))
            known = set(archive.namelist())
            pages = (
                visible_text(normalise(decode(archive.read(name), html=True))) for name in chapters if name in known
            )
            text = normalise(markdown.blocks(bounded(page.text for page in pages)))
    except (*DAMAGED_ARCHIVE, KeyError, SyntaxError) as error:  # or a part is missing, or is no XML
        raise UnreadableDocument(DAMAGED) from error
    if not chapters:
        raise UnreadableDocument("The book has no chapters. Save it anew, or as PDF, and upload that.")
    title = next((element.text or "" for element in package.iter("{http://purl.org/dc/elements/1.1/}title")), "")
    return Extracted(text, markdown=True, title=markdown.one_line(title)[: markdown.MAX_HEADING_CHARS] or None)


def _refuse_protected(archive: zipfile.ZipFile) -> None:
    if _ENCRYPTION not in archive.namelist():
        return
    methods = [
        element.get("Algorithm") for element in _parsed(archive, _ENCRYPTION).iter() if _is(element, "EncryptionMethod")
    ]
    if any(method not in _FONT_SCRAMBLING for method in methods):
        raise UnreadableDocument("The book is protected against copying. Upload a copy without protection.")


def _package(archive: zipfile.ZipFile) -> tuple[str, Any]:
    for element in _parsed(archive, _CONTAINER).iter():
        if _is(element, "rootfile"):
            name = unquote(element.get("full-path", ""))
            return name, _parsed(archive, name)
    raise KeyError("rootfile")


def _chapter_names(package: Any, folder: str) -> Iterator[str]:
    pages = {
        element.get("id"): element.get("href", "")
        for element in package.iter()
        if _is(element, "item")
        and element.get("media-type") in _PAGES
        and "nav" not in (element.get("properties") or "").split()
    }
    for element in package.iter():
        if _is(element, "itemref") and element.get("idref") in pages:
            href = unquote(pages.pop(element.get("idref")).partition("#")[0])
            yield posixpath.normpath(posixpath.join(folder, href))


def _parsed(archive: zipfile.ZipFile, name: str) -> Any:
    from lxml import etree

    return etree.fromstring(archive.read(name), etree.XMLParser(resolve_entities=False, no_network=True))


def _is(element: Any, name: str) -> bool:
    return isinstance(element.tag, str) and element.tag.rpartition("}")[2] == name
