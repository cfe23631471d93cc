"""Files that mean harm: each one is read or fails with a plain reason, soon, and the server hardly notices."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kyrochat.documents.extraction import Extractor
from kyrochat.documents.media_types import HEAD_BYTES, detect
from kyrochat.errors import UnreadableDocument
from tests.documents.corpus_files import CORPUS
from tests.documents.hostile import (
    MIB,
    docx,
    docx_parts,
    epub,
    flate_bomb_pdf,
    grouped_pptx,
    laughs,
    many_pages_pdf,
    nested_mail,
    paragraph,
    pdf,
    stream,
    text_pdf,
    xlsx,
    zipped,
)
from tests.documents.jail_scene import in_linux, resident_mib

pytestmark = in_linux

MAX_S = 60
MAX_GROWTH_MIB = 50

TOO_BIG = "The file took more than 1024 MiB of memory to read. Split it into smaller files."
TOOK_MORE = (
    r"^The file took more than (1024 MiB of memory|20 s of computing|50 s) to read\. Split it into smaller files\.$"
)
TOO_LONG = "The document holds more than 2,000,000 characters of text. Split it into smaller files."
TOO_DEEP = "The file is nested too deeply to read. Save it as plain text and upload that."
DAMAGED = "The file is damaged or incomplete. Save it anew and upload that."
DAMAGED_PDF = "The PDF is damaged or has no pages. Print it to a new PDF and upload that."
NO_PAGE = "No page of the PDF could be read; it may be damaged. Print it to a new PDF and upload that."
DOCTYPE = "The file declares a document type of its own, as harmful files do. Save it anew, or as PDF."
TOO_MANY_CELLS = "The file has more than 2,000,000 cells. Split it into smaller files."
NO_TEXT = "The document holds no text. If it shows pictures of text, upload the text itself."
SCANNED = (
    "The PDF holds no text: its pages are empty, or pictures, as a scanner makes them. "
    "Let a text recognition (OCR) program add the text, and upload the result."
)
PASSWORD = "The PDF is protected with a password. Save it without one and upload that."


def refused(name: str) -> Callable[[], bytes]:
    return (CORPUS / "refused" / name).read_bytes


REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a PDF with a password": ("a.pdf", refused("password.pdf"), PASSWORD),
    "a Word document with a password": (
        "a.docx",
        refused("password.docx"),
        "Old Office files (.doc, .xls, .ppt, .msg) and Office files with a password cannot be read; "
        "save the document as DOCX, XLSX, PPTX or EML without a password and upload that.",
    ),
    "a scanned PDF": ("a.pdf", refused("scan.pdf"), SCANNED),
    "a PDF that does not say which letters it shows": (
        "a.pdf",
        lambda: text_pdf("\x01\x03\x04\x05\x06\x07 ab"),
        "The PDF shows letters without saying which they are. Let a text recognition (OCR) program add the text, "
        "or print its source to a new PDF, and upload the result.",
    ),
    "a PDF without pages": (
        "a.pdf",
        lambda: pdf(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"),
        DAMAGED_PDF,
    ),
    "100,000 pages": (
        "a.pdf",
        lambda: many_pages_pdf(100_000),
        "The PDF has 100,000 pages, and up to 5,000 are read. Split it into smaller files.",
    ),
    "pages that hold each other": (
        "a.pdf",
        lambda: pdf(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 4000 >>"),
        NO_PAGE,
    ),
    "half a PDF": ("a.pdf", lambda: text_pdf("Bees")[:200], DAMAGED_PDF),
    "a PDF of garbage": ("a.pdf", lambda: b"%PDF-1.7\n" + bytes(range(256)) * 100, DAMAGED_PDF),
    "billion laughs in Word": ("a.docx", lambda: docx(paragraph("&l9;"), prolog=laughs()), DOCTYPE),
    "billion laughs in UTF-16": (
        "a.docx",
        lambda: zipped(
            {
                **docx_parts(""),
                "word/document.xml": f'<?xml version="1.0" encoding="utf-16"?>{laughs()}<d>&l9;</d>'.encode("utf-16"),
            }
        ),
        DOCTYPE,
    ),
    "a file of the server in Word": (
        "a.docx",
        lambda: docx(paragraph("&x;"), prolog='<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        DOCTYPE,
    ),
    "a document type from elsewhere": (
        "a.docx",
        lambda: docx(paragraph("Bees"), prolog='<!DOCTYPE d SYSTEM "http://127.0.0.1:1/d.dtd">'),
        DOCTYPE,
    ),
    "billion laughs in a sheet": ("a.xlsx", lambda: xlsx("<row/>", prolog=laughs()), DOCTYPE),
    "billion laughs in a book": ("a.epub", lambda: epub({}, package=f"{laughs()}<package>&l9;</package>"), DOCTYPE),
    "a chapter outside of the book": (
        "a.epub",
        lambda: epub(
            {},
            package='<package><manifest><item id="a" href="../../../../etc/passwd" media-type="text/html"/></manifest>'
            '<spine><itemref idref="a"/></spine></package>',
        ),
        NO_TEXT,
    ),
    "100 MiB of Word in 100 KiB": (
        "a.docx",
        lambda: docx("<w:p/>" * 15_000_000),
        "The file unpacks to more than 100 times its size, as harmful files do. Save it anew, or as PDF.",
    ),
    "tables in tables, 5,000 deep": (
        "a.docx",
        lambda: docx("<w:tbl><w:tr><w:tc>" * 5000 + paragraph("x") + "</w:tc></w:tr></w:tbl>" * 5000),
        DAMAGED,
    ),
    "a Word document that is none": ("a.docx", lambda: zipped({"word/document.xml": b"<d/>"}), DAMAGED),
    "slides that are none": ("a.pptx", lambda: zipped({"ppt/presentation.xml": b"<d/>"}), DAMAGED),
    "a workbook that is none": ("a.xlsx", lambda: zipped({"xl/workbook.xml": b"<d/>"}), DAMAGED),
    "rows as wide as a sheet can be": (
        "a.xlsx",
        lambda: xlsx("".join(f'<row r="{n}"><c r="XFD{n}"><v>{n}</v></c></row>' for n in range(1, 20_000))),
        TOO_MANY_CELLS,
    ),
    "a million cells": ("a.csv", lambda: b"1,2,3,4,5,6,7,8,9,0\n" * 100_000, TOO_LONG),
    "a row of a million cells": ("a.csv", lambda: b"1," * 999_000, TOO_LONG),
    "JSON, 200,000 deep": ("a.json", lambda: b"[" * 200_000 + b"]" * 200_000, TOO_DEEP),
    "a mail in a mail, 5,000 deep": ("a.eml", lambda: nested_mail(5000), TOO_DEEP),
    "20 MiB of base64": (
        "a.eml",
        lambda: b"From: a@b\nSubject: x\nContent-Transfer-Encoding: base64\n\n" + b"QUJD" * 5_000_000,
        TOO_LONG,
    ),
    "100 MB of text": ("a.txt", lambda: b"word " * 20_000_000, TOO_LONG),
}

READ: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "an outline in a circle": (
        "a.pdf",
        lambda: pdf(
            b"<< /Type /Catalog /Pages 2 0 R /Outlines 6 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Resources << /Font << /F 5 0 R >> >> >>",
            stream(b"BT /F 12 Tf 72 720 Td (Bees) Tj ET"),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /Outlines /First 7 0 R /Last 7 0 R >>",
            b"<< /Title (x) /Parent 6 0 R /Next 7 0 R /First 7 0 R >>",
        ),
        "Bees",
    ),
    "a PDF under the name of a picture": ("a.png", lambda: text_pdf("Bees"), "Bees"),
    "a PDF that is an archive, too": ("a.docx", lambda: text_pdf("Bees") + docx(paragraph("Wasps")), "Bees"),
    "Word under the name of slides": ("a.pptx", lambda: docx(paragraph("Bees")), "Bees"),
    "Word whose first part is of a sheet": (
        "a.docx",
        lambda: zipped({"xl/none.xml": b"<x/>", **docx_parts(paragraph("Bees"))}),
        "Bees",
    ),
    "a page that is a PDF, too": ("a.html", lambda: b"<html><body>Bees\n" + text_pdf("Wasps"), "Bees"),
    "a cell that spans a whole sheet": (
        "a.docx",
        lambda: docx(
            '<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="99999999"/></w:tcPr>'
            f"{paragraph('Bees')}</w:tc><w:tc/></w:tr></w:tbl>"
        ),
        "Bees",
    ),
    "content in content, 100 deep": (
        "a.docx",
        lambda: docx("<w:sdt><w:sdtContent>" * 100 + paragraph("Bees") + "</w:sdtContent></w:sdt>" * 100),
        "Bees",
    ),
    "the last cell of a sheet": (
        "a.xlsx",
        lambda: xlsx(
            '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>',
        ),
        "# Sheet\n\n1\n\n2",
    ),
    "groups in groups, 60 deep": ("a.pptx", lambda: grouped_pptx(60, "Bees"), "Bees"),
    "a number of 100,000 digits": ("a.json", lambda: b'{"n": ' + b"9" * 100_000 + b"}", "n: " + "9" * 100_000),
    "names in names, 900 deep": ("a.json", lambda: b'{"a":' * 900 + b"1" + b"}" * 900, ".".join("a" * 900) + ": 1"),
    "half a JSON document": ("a.json", lambda: b'{"bees": [1, 2', '{"bees": [1, 2'),
    "a chapter, 200,000 deep": ("a.epub", lambda: epub({"a.xhtml": b"<div>" * 200_000 + b"Bees"}), "Bees"),
    "a long header": (
        "a.eml",
        lambda: b"Subject: Bees\nFrom: " + b"a@b.c, " * 200_000 + b"\nTo: " + b"=?utf-8?q?x?= " * 100_000 + b"\n\nHi",
        "# Bees",
    ),
}


def hostile_files(cases: dict[str, tuple[str, Callable[[], bytes], str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("filename", "make", "expected"), list(cases.values()), ids=list(cases))


async def read(filename: str, data: bytes) -> str:
    """The text, or why there is none; neither takes long, nor any of the server's memory."""
    before, start = resident_mib(), time.monotonic()
    try:
        text = (await Extractor().extract(data, detect(data[:HEAD_BYTES], filename))).text
    except UnreadableDocument as error:
        text = error.message
    assert time.monotonic() - start < MAX_S
    assert resident_mib() - before < MAX_GROWTH_MIB
    return text


@hostile_files(REFUSED)
async def test_it_is_refused_with_a_plain_reason(filename: str, make: Callable[[], bytes], expected: str) -> None:
    assert await read(filename, make()) == expected


@hostile_files(READ)
async def test_what_can_be_read_of_it_is_read(filename: str, make: Callable[[], bytes], expected: str) -> None:
    assert (await read(filename, make())).startswith(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filename", "make", "reason"),
    [
        ("a.pdf", lambda: flate_bomb_pdf(2048 * MIB), TOOK_MORE),
        (
            "a.docx",
            lambda: docx("".join(paragraph(f"{n * 7919 % 100_003} w{n}") for n in range(1_500_000))),
            f"{TOOK_MORE}|{TOO_LONG}",
        ),
        ("a.csv", lambda: b"x," * 100_000 + b"\n" + b"1\n" * 400_000, TOO_BIG),
        (
            "a.xlsx",
            lambda: xlsx(
                "".join(
                    f'<row r="{n}">'
                    + "".join(f'<c r="{c}{n}"><v>{n * 7919 % 97}</v></c>' for c in "ABCDEFGHIJ")
                    + "</row>"
                    for n in range(1, 100_001)
                )
            ),
            f"{TOOK_MORE}|{TOO_LONG}",
        ),
        (
            "a.eml",
            lambda: b"From: a@b\nSubject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 500_000,
            TOOK_MORE,
        ),
        ("a.html", lambda: b"<html><body>" + b"<p>Some words</p>" * 6_000_000, TOOK_MORE),
        ("a.json", lambda: json.dumps([{"k": [n]} for n in range(3_000_000)]).encode(), f"{TOOK_MORE}|{TOO_LONG}"),
    ],
    ids=["flate bomb", "full Word", "ragged CSV", "million cells", "parts without end", "100 MB page", "50 MB JSON"],
)
async def test_the_big_ones_are_refused_as_well(filename: str, make: Callable[[], bytes], reason: str) -> None:
    assert re.search(reason, await read(filename, await asyncio.to_thread(make)))


async def test_a_file_beside_a_bomb_is_read_meanwhile(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(flate_bomb_pdf(256 * MIB))
    extractor = Extractor(slots=asyncio.Semaphore(2))
    exploding = asyncio.create_task(extractor.extract(bomb, "application/pdf"))

    texts = [(await extractor.extract(text_pdf(f"Bees {n}"), "application/pdf")).text for n in range(3)]

    assert texts == ["Bees 0", "Bees 1", "Bees 2"]
    with pytest.raises(UnreadableDocument) as refusal:
        await exploding
    assert refusal.value.message == TOO_BIG
