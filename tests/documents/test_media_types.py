import io
import os
import random
import zipfile

import pytest

from kyrochat.documents.media_types import HEAD_BYTES, MediaType, detect
from kyrochat.errors import UnreadableDocument


def zipped(*names: str, content: bytes = b"<xml/>") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()[:HEAD_BYTES]


@pytest.mark.parametrize(
    ("head", "filename", "expected"),
    [
        (b"Bees make honey.", "bees.txt", MediaType.TEXT),
        (b"Bees make honey.", None, MediaType.TEXT),
        (b"# Bees", "bees.md", MediaType.MARKDOWN),
        (b"# Bees", "BEES.MARKDOWN", MediaType.MARKDOWN),
        (b"# Bees", "bees.txt", MediaType.TEXT),
        (b"a,b\n1,2", "table.csv", MediaType.CSV),
        (b"a\tb\n1\t2", "table.TSV", MediaType.TSV),
        (b"a,b\n1,2", "table.txt", MediaType.TEXT),
        (b"<html><body>Please sign in", "table.csv", MediaType.HTML),
        (b'{"a": 1}', "data.json", MediaType.JSON),
        (b'{"a": 1}', "data.txt", MediaType.TEXT),
        (b'{"a": 1}\n{"a": 2}', "data.jsonl", MediaType.JSON_LINES),
        (b"def f(): pass", "f.py", MediaType.SOURCE),
        (b"key: value", "settings.yaml", MediaType.SOURCE),
        (b"From: ada@example.com\r\nSubject: Bees\r\n\r\nHi", "bees.eml", MediaType.EMAIL),
        (b"From: ada@example.com\nSubject: Bees\n\nHi", "bees.txt", MediaType.TEXT),
        (b"Message-ID: <1@x>\nFrom: a@b.c\n folded\nSubject: x", None, MediaType.EMAIL),
        (b"Dear Ada,\nthank you for the honey.", "letter.eml", MediaType.TEXT),
        (b"Subject: to change\nand more prose here\nTo: all\n", "letter.eml", MediaType.TEXT),
        (b"%PDF-1.7\n%\xe2\xe3", "honey.txt", MediaType.PDF),
        (b"\r\n%PDF-1.4", "honey.docx", MediaType.PDF),
        (zipped("[Content_Types].xml", "word/document.xml"), "honey.docx", MediaType.DOCX),
        (zipped("[Content_Types].xml", "ppt/presentation.xml"), "honey.docx", MediaType.PPTX),
        (zipped("_rels/.rels", "xl/workbook.xml"), None, MediaType.XLSX),
        (zipped("mimetype", content=b"application/epub+zip"), "honey.zip", MediaType.EPUB),
        (zipped("docProps/app.xml"), "honey.xlsx", MediaType.XLSX),  # its directory will tell
        (b"<!DOCTYPE html><html><body>", "page.html", MediaType.HTML),
        (b"\n  <!doctype HTML>", None, MediaType.HTML),
        (b"\xef\xbb\xbf<html>", "page.txt", MediaType.HTML),
        (b"<!-- saved from a browser --><html>", None, MediaType.HTML),
        (b'<?xml version="1.0"?><html xmlns="x">', "page.xhtml", MediaType.HTML),
        ("\ufeff<html>".encode("utf-16-le"), "page.htm", MediaType.HTML),
        ("<html><body>no mark</body></html>".encode("utf-16-le"), "page.htm", MediaType.HTML),
        (b"<div><p>A fragment</p></div>", None, MediaType.HTML),
        (b"<section>x</section>", "part.html", MediaType.HTML),
        (b"No tags at all", "page.html", MediaType.TEXT),
        (b"<div align=center>logo</div>\n\n# Bees", "README.md", MediaType.MARKDOWN),
        (b'<?xml version="1.0"?><rss></rss>', "feed.xml", MediaType.TEXT),
        (b"How to write <p>paragraphs</p> in HTML", "howto.txt", MediaType.TEXT),
        (b"The header of a PDF is %PDF-1.7.", "pdf.txt", MediaType.TEXT),
        ("Пчёлы".encode("koi8-r"), "bees.txt", MediaType.TEXT),
        ("Пчёлы летают".encode("utf-16"), "bees.txt", MediaType.TEXT),
        ("蜂".encode() * 2730 + "蜂".encode()[:2], "cut.txt", MediaType.TEXT),
        (b"text", "../../etc/passwd", MediaType.TEXT),
        (b"text", "C:\\dir.html\\CON", MediaType.TEXT),
        (b"text", "a\x00.md", MediaType.MARKDOWN),
        (b"text", "x" * 5000 + ".md", MediaType.MARKDOWN),
        (b"text", "\u202egnp.md", MediaType.MARKDOWN),
        (b"text", "", MediaType.TEXT),
        (b"text", "/", MediaType.TEXT),
    ],
)
def test_content_tells_the_format(head: bytes, filename: str | None, expected: MediaType) -> None:
    assert detect(head, filename) is expected


@pytest.mark.parametrize(
    ("head", "filename", "message"),
    [
        (b"", "a.txt", "The file is empty. Choose a file that holds text."),
        (
            b"{\\rtf1\\ansi",
            "honey.doc",
            "RTF files cannot be read; save the document as PDF, DOCX or plain text and upload that.",
        ),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "honey.docx",
            "Old Office files (.doc, .xls, .ppt, .msg) and Office files with a password cannot be read; save the "
            "document as DOCX, XLSX, PPTX or EML without a password and upload that.",
        ),
        (
            zipped("honey.txt"),
            "honey.zip",
            "ZIP archives cannot be read; unpack it and upload the files inside.",
        ),
        (b"\x89PNG\r\n\x1a\n\x00", "bee.md", "Images cannot be read; upload the text itself instead."),
        (b"\x1f\x8b\x08\x00", "a.txt", "Gzip archives cannot be read; unpack it and upload the files inside."),
        (b"\x7fELF\x02\x01", "bee", "Programs cannot be read; upload the text itself instead."),
        (
            b"\x00\x00\x00\x18ftypmp42",
            "a.txt",
            "Images, sound and video cannot be read; upload the text itself instead.",
        ),
        (
            b"<html><body>Please sign in</body></html>",
            "report.pdf",
            "The name ends in .pdf, but the file holds text. Check that it is the right file, and rename it.",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(head: bytes, filename: str, message: str) -> None:
    with pytest.raises(UnreadableDocument) as refusal:
        detect(head, filename)

    assert refusal.value.message == message


@pytest.mark.parametrize(
    "head", [b"{\\rtf1\\ansi", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"SQLite format 3\x00", b"\xff\xd8\xff\xe0"]
)
def test_other_known_formats_are_refused_whatever_their_name(head: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="cannot be read; "):
        detect(head, "notes.md")


@pytest.mark.parametrize("seed", range(5))
def test_binary_garbage_is_refused(seed: int) -> None:
    garbage = b"\x07" + random.Random(seed).randbytes(4095)

    with pytest.raises(UnreadableDocument, match="binary data"):
        detect(garbage, f"notes{os.extsep}txt")
