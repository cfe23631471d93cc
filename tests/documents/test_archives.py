"""ZIP containers are checked by their directory, before anything in them is unpacked."""

import contextlib
import io
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyrochat.documents.archives import MAX_PARTS, check_archive
from kyrochat.documents.media_types import ZIPPED, MediaType
from kyrochat.errors import UnreadableDocument
from tests.documents.corpus_files import FILES
from tests.documents.hostile import MIB, docx, docx_parts, epub, paragraph, zipped
from tests.documents.jail_scene import in_linux, resident_mib

DAMAGED = "The file is damaged or incomplete. Save it anew and upload that."


def refusal(data: bytes) -> str:
    with pytest.raises(UnreadableDocument) as refused:
        check_archive(io.BytesIO(data))
    return refused.value.message


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (docx(paragraph("Bees")), MediaType.DOCX),
        (zipped({"[Content_Types].xml": b"", "xl/workbook2.xml": b""}), MediaType.XLSX),
        (zipped({"ppt/presentation.xml": b""}), MediaType.PPTX),
        (epub({"a.xhtml": b""}), MediaType.EPUB),
        (zipped({**docx_parts(""), "word/embeddings/numbers.xlsx": b"PK"}), MediaType.DOCX),
        (zipped({**docx_parts(""), "word/media/empty.emf": bytes(MIB)}), MediaType.DOCX),
        (b"junk in front" + docx(""), MediaType.DOCX),
    ],
)
def test_parts_tell_what_a_container_is(data: bytes, kind: MediaType) -> None:
    assert check_archive(io.BytesIO(data)) is kind


def with_flag(data: bytes, flag: int) -> bytes:
    """Set a flag of the first part, in its own header and in the directory."""
    changed = bytearray(data)
    directory = changed.find(b"PK\x01\x02")
    changed[6] |= flag
    changed[directory + 8] |= flag
    return bytes(changed)


def twice(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(name, b"two")
    return file.getvalue()


def overlapping(count: int) -> bytes:
    """Parts that all are the same bytes: each of them looks harmless."""
    single = zipped({"word/document.xml": bytes(MIB // 2)})
    start, end = single.find(b"PK\x01\x02"), single.find(b"PK\x05\x06")
    entry, parts = single[start:end], bytearray()
    for number in range(count):
        name = f"word/documen{number:02d}.xml".encode()[: len("word/document.xml")]
        parts += entry[:46] + name + entry[46 + len(name) :]
    tail = bytearray(single[end:])
    tail[8:12] = count.to_bytes(2, "little") * 2
    tail[12:16] = len(parts).to_bytes(4, "little")
    return single[:start] + bytes(parts) + bytes(tail)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: docx("")[:-30], DAMAGED),
        (lambda: b"PK\x03\x04" + bytes(100), DAMAGED),
        (lambda: b"PK", DAMAGED),
        (lambda: overlapping(20), DAMAGED),
        (lambda: zipped({}), "The archive is empty. Choose a file that holds text."),
        (
            lambda: with_flag(docx(""), 1),
            "The file is protected with a password. Save it without one and upload that.",
        ),
        (
            lambda: twice("word/document.xml"),
            "The file holds two parts of the same name. Save it anew and upload that.",
        ),
        *[
            (
                lambda name=name: zipped({**docx_parts(""), name: b"x"}),
                "The file holds parts whose names lead out of it. Save it anew and upload that.",
            )
            for name in ("../../etc/passwd", "/etc/passwd", "C:/autoexec.bat", "word/../../x", "..\\x")
        ],
        (
            lambda: zipped({**docx_parts(""), "word/more.zip": b"PK"}),
            "The file holds other archives. Unpack it and upload the documents inside.",
        ),
        (
            lambda: zipped({**docx_parts(""), "word/document.bin": bytes(3 * MIB)}),
            "The file unpacks to more than 100 times its size, as harmful files do. Save it anew, or as PDF.",
        ),
        (
            lambda: zipped({f"word/{number}.xml": b"" for number in range(MAX_PARTS + 1)}),
            "The file holds more than 5,000 parts. Split it into smaller files.",
        ),
        (
            lambda: zipped({"content.xml": b"", "mimetype": b"application/vnd.oasis.opendocument.text"}),
            "OpenDocument files (.odt, .ods, .odp) cannot be read; save the document as DOCX, XLSX, PPTX or PDF.",
        ),
        (
            lambda: zipped({"bees.txt": b"Bees"}),
            "ZIP archives cannot be read; unpack it and upload the files inside.",
        ),
    ],
)
def test_what_is_no_sound_document_is_refused_with_a_reason(make: Callable[[], bytes], message: str) -> None:
    assert refusal(make()) == message


def test_what_would_unpack_to_too_much_is_refused_however_many_parts_share_it() -> None:
    # Noise of which half is zeros: each part is within the ratio.
    part = zipped({"word/document.xml": (b"%d " * 3 % (7, 11, 13)) * (40 * MIB // 9)})
    parts = bytearray(part)
    directory = parts.find(b"PK\x01\x02")
    parts[directory + 20 : directory + 24] = (3 * MIB).to_bytes(4, "little")  # what it says it takes packed
    parts[directory + 24 : directory + 28] = (250 * MIB).to_bytes(4, "little")  # and unpacked

    assert refusal(bytes(parts)) == "The file would unpack to more than 200 MiB. Split it into smaller files."


@in_linux
def test_a_directory_that_lies_about_its_size_costs_the_server_nothing() -> None:
    count = 400_000
    entry = zipped({"x": b""})
    entry = entry[entry.find(b"PK\x01\x02") : entry.find(b"PK\x05\x06")]
    directory = entry * count
    record = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12)
    record += count.to_bytes(8, "little") * 2 + len(directory).to_bytes(8, "little") + bytes(8)
    locator = b"PK\x06\x07" + bytes(4) + len(directory).to_bytes(8, "little") + (1).to_bytes(4, "little")
    data = directory + record + locator + b"PK\x05\x06" + bytes(18)
    before = resident_mib()

    assert refusal(data) == "The file holds more than 5,000 parts. Split it into smaller files."
    assert resident_mib() - before < 10


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([file.data for file in FILES if file.path.suffix in (".docx", ".xlsx", ".epub")]),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=30),
    st.integers(0, 1 << 20),
)
def test_damaged_containers_are_taken_or_refused_and_never_break_the_check(
    data: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    # At the end is what the check reads.
    damaged = bytearray(data)
    for place, value in changes:
        damaged[-1 - place % min(len(damaged), 4000)] = value
    if cut % 3 == 0:
        del damaged[len(damaged) - cut % len(damaged) :]

    with contextlib.suppress(UnreadableDocument):
        assert check_archive(io.BytesIO(bytes(damaged))) in ZIPPED
