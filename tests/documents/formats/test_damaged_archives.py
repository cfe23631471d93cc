"""Books and Office files whose parts are damaged: what is told is that, and not the name of some exception."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyrochat.documents.archives import DAMAGED
from kyrochat.documents.extracted import Extracted
from kyrochat.documents.formats.epub import parse_epub
from kyrochat.documents.formats.open_xml import refuse_doctypes
from kyrochat.documents.formats.sheets import parse_sheets
from kyrochat.errors import UnreadableDocument
from tests.documents.corpus_files import FILES
from tests.documents.hostile import epub

PAGE = b"<html><body>" + b"".join(b"<p>Bee number %d</p>" % number for number in range(200)) + b"</body></html>"
BOOK = epub({"chapter.xhtml": PAGE})
ARCHIVES = [file.data for file in FILES if file.path.suffix in (".docx", ".pptx", ".xlsx", ".epub")]


def patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def packed_page(data: bytes) -> int:
    """Where the packed bytes of the page begin."""
    return data.find(b"chapter.xhtml") + len(b"chapter.xhtml")


def entry_of_page(data: bytes) -> int:
    """Where the directory's entry of the page begins."""
    return data.rfind(b"PK\x01\x02", 0, data.rfind(b"chapter.xhtml"))


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(patched(BOOK, packed_page(BOOK), b"\xff" * 20), id="not packed as it says"),
        pytest.param(patched(BOOK, entry_of_page(BOOK) + 42, b"\xff\xff\xff\xfe"), id="starts beyond the file"),
        pytest.param(patched(BOOK, entry_of_page(BOOK) + 10, b"\x63\x00"), id="packed in an unknown way"),
        pytest.param(patched(BOOK, entry_of_page(BOOK) + 16, b"\x00\x00\x00\x00"), id="another checksum"),
        pytest.param(patched(BOOK, BOOK.rfind(b"PK\x05\x06") + 16, b"\xff\xff\xff\x00"), id="starts before the file"),
    ],
)
def test_a_damaged_part_of_a_book_is_told_as_damage(damaged: bytes) -> None:
    assert "Bee number 199" in parse_epub(BOOK).text
    assert damaged != BOOK

    with pytest.raises(UnreadableDocument) as refused:
        parse_epub(damaged)
    assert refused.value.message == DAMAGED


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(ARCHIVES),
    st.lists(st.tuples(st.integers(0, 1 << 24), st.binary(min_size=1, max_size=4)), min_size=1, max_size=8),
)
def test_the_check_of_parts_takes_or_refuses_whatever_was_damaged(
    data: bytes, changes: list[tuple[int, bytes]]
) -> None:
    for place, new in changes:
        data = patched(data, place % len(data), new)

    for read in (refuse_doctypes, lambda sound: refuse_doctypes(sound, only_entities=True)):
        with suppress(UnreadableDocument):
            read(data)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 24), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4))
def test_a_book_is_read_or_refused_whatever_was_damaged(changes: list[tuple[int, bytes]]) -> None:
    damaged = BOOK
    for place, new in changes:
        damaged = patched(damaged, place % len(BOOK), new)

    with suppress(UnreadableDocument):
        assert isinstance(parse_epub(damaged), Extracted)


def test_a_workbook_without_its_parts_is_told_as_damage() -> None:
    with pytest.raises(UnreadableDocument) as refused:
        parse_sheets(BOOK)
    assert refused.value.message == DAMAGED
