"""Files that mean harm, made on the spot."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import quoteattr

MIB = 1 << 20
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def pdf(*objects: bytes, trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first one is the catalogue."""
    written = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    written += b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(written)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(data), entries, data)


def one_page_pdf(content: bytes) -> bytes:
    """A PDF whose only page has this object as its content."""
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F 5 0 R >> >> >>",
        content,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )


def text_pdf(text: str) -> bytes:
    return one_page_pdf(stream(b"BT /F 12 Tf 72 720 Td (%b) Tj ET" % text.encode("latin-1")))


def flate_bomb_pdf(size: int) -> bytes:
    """A page whose content unpacks to `size` bytes, packed twice: some kilobytes in all."""
    block = b"BT /F 9 Tf (bees) Tj ET\n" * (MIB // 24)
    once = deflated([block] * (size // len(block)))
    return one_page_pdf(stream(deflated([once]), b"/Filter [/FlateDecode /FlateDecode]"))


def deflated(pieces: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(map(packer.compress, pieces)) + packer.flush()


def many_pages_pdf(count: int) -> bytes:
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b"3 0 R " * count, count),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
    )


def zipped(parts: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


def docx_parts(body: str, *, prolog: str = "") -> dict[str, bytes]:
    """The parts of a Word document with this body of XML."""
    content_types = (
        f'<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        f'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_WORD_TYPE}"/></Types>'
    )
    relations = (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type={quoteattr(_OFFICE + "/officeDocument")} '
        'Target="word/document.xml"/></Relationships>'
    )
    document = f'<?xml version="1.0"?>{prolog}<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>'
    return {
        "[Content_Types].xml": content_types.encode(),
        "_rels/.rels": relations.encode(),
        "word/document.xml": document.encode(),
    }


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def docx(body: str, *, prolog: str = "") -> bytes:
    return zipped(docx_parts(body, prolog=prolog))


def laughs() -> str:
    """A declaration of entities, of which `&l9;` is a gigabyte."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE d [<!ENTITY l0 "lol">{entities}]>'


def epub(chapters: Mapping[str, bytes], *, package: str | None = None) -> bytes:
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    package = package or (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="book.opf"/></rootfiles></container>'
    )
    return zipped(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container.encode(),
            "book.opf": package.encode(),
            **chapters,
        }
    )


def xlsx(rows: str, *, prolog: str = "") -> bytes:
    """A workbook whose only sheet has these rows of XML, and says that it is as large as a sheet can be."""
    from openpyxl import Workbook

    file = io.BytesIO()
    Workbook().save(file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = (
        f'<?xml version="1.0"?>{prolog}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f'<dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData></worksheet>'
    )
    return zipped({**parts, "xl/worksheets/sheet1.xml": sheet.encode()})


def grouped_pptx(depth: int, text: str) -> bytes:
    """Slides whose only text lies in so many groups."""
    from pptx import Presentation

    presentation = Presentation()
    shapes = presentation.slides.add_slide(presentation.slide_layouts[6]).shapes
    for _ in range(depth):
        shapes = shapes.add_group_shape().shapes
    shapes.add_textbox(0, 0, 1, 1).text_frame.text = text
    file = io.BytesIO()
    presentation.save(file)
    return file.getvalue()


def nested_mail(depth: int) -> bytes:
    written = b"From: a@example.com\nSubject: x\n"
    for number in range(depth):
        written += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number)
    return written + b"\n\nhello"
