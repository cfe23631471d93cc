"""What Office's formats and EPUB have in common: parts of XML in a ZIP container."""

import contextlib
import io
import zipfile
from xml.parsers import expat

from kyrochat.errors import UnreadableDocument

_XML = (".xml", ".rels", ".vml", ".opf", ".ncx")

DAMAGED = "The file is damaged or incomplete. Save it anew and upload that."


class _EndOfProlog(Exception):
    pass


def refuse_doctypes(data: bytes) -> None:
    """Check that no part defines entities of its own: Office never writes them, only attacks do.

    Raises:
        UnreadableDocument: one does, or the container is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                if name.lower().endswith(_XML):
                    with archive.open(name) as part:
                        _check_prolog(part.read(1 << 16))
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError) as error:
        raise UnreadableDocument(DAMAGED) from error


def _check_prolog(start: bytes) -> None:
    parser = expat.ParserCreate()
    parser.StartElementHandler = _end
    parser.EntityDeclHandler = _refuse
    # Whether the rest is sound is for the format's reader to find out.
    with contextlib.suppress(_EndOfProlog, expat.ExpatError):
        parser.Parse(start, False)


def _end(_name: str, _attributes: object) -> None:
    raise _EndOfProlog


def _refuse(*_declaration: object) -> None:
    raise UnreadableDocument("The file defines entities, as harmful files do. Save it anew, or as PDF.")
