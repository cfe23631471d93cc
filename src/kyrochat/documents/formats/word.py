"""Word documents (DOCX): paragraphs, headings, lists with their numbers, tables, notes and text boxes."""

import io

from kyrochat.documents.archives import DAMAGED
from kyrochat.documents.decoding import normalise
from kyrochat.documents.extracted import Extracted, bounded
from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.open_xml import refuse_doctypes
from kyrochat.errors import UnreadableDocument


def parse_word(data: bytes) -> Extracted:
    """Read the document's body as it looks with all changes accepted; headers, footers and comments are left out.

    Raises:
        UnreadableDocument: it is damaged, or a template or document with macros.
        TooMuchText: it has more than `MAX_CHARS` characters.
    """
    refuse_doctypes(data)
    from docx import Document
    from docx.opc.exceptions import PackageNotFoundError

    from kyrochat.documents.formats.word_body import Body

    try:
        document = Document(io.BytesIO(data))
    except ValueError as error:
        raise UnreadableDocument(
            "Word templates and documents with macros cannot be read. Save it as an ordinary .docx file."
        ) from error
    except (PackageNotFoundError, KeyError, SyntaxError) as error:
        raise UnreadableDocument(DAMAGED) from error
    text = normalise(markdown.blocks(bounded(Body.of(document).blocks())))
    title = markdown.one_line(document.core_properties.title or "")[: markdown.MAX_HEADING_CHARS]
    return Extracted(text, markdown=True, title=title or None)
