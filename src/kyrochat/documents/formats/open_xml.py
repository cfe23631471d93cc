"""What Office's formats and EPUB have in common: parts of XML in a ZIP container."""

import contextlib
import io
import zipfile
from xml.parsers import expat

from kyrochat.documents.archives import DAMAGED, DAMAGED_ARCHIVE
from kyrochat.errors import UnreadableDocument

_XML = (".xml", ".rels", ".vml", ".opf", ".ncx")

_PROLOG_BYTES = 1 << 16


class _EndOfProlog(Exception):
    pass


def refuse_doctypes(data: bytes, *, only_entities: bool = False) -> None:
    """Check that no part has a document type: Office never writes one, only attacks do.

    With `only_entities`, as old books have document types, only those that define entities are refused.

    Raises:
        UnreadableDocument: a part has one, or the container is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                if name.lower().endswith(_XML):
                    with archive.open(name) as part:
                        _check_prolog(part.read(_PROLOG_BYTES), only_entities)
    except DAMAGED_ARCHIVE as error:
        raise UnreadableDocument(DAMAGED) from error


def _check_prolog(start: bytes, only_entities: bool) -> None:
    parser = expat.ParserCreate()
    if not only_entities:
        parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = _end
    parser.EntityDeclHandler = _refuse
    # Whether the rest is sound is for the format's reader to find out.
    with contextlib.suppress(_EndOfProlog, expat.ExpatError):
        parser.Parse(start, False)


def _end(_name: str, _attributes: object) -> None:
    raise _EndOfProlog


def _refuse(*_declaration: object) -> None:
    raise UnreadableDocument(
        "The file declares a document type of its own, as harmful files do. Save it anew, or as PDF."
    )
