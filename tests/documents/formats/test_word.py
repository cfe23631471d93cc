import pytest

from kyrochat.documents.formats.word import parse_word
from kyrochat.documents.formats.word_numbering import _letter, _roman
from tests.documents.hostile import docx, paragraph

RUN = "<w:r><w:t>{}</w:t></w:r>"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (paragraph("One") + paragraph("") + paragraph("Two"), "One\n\nTwo"),
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/></w:r></w:p>", "a\tb\nc-"),
        (
            "<w:p><w:ins>" + RUN.format("new") + "</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>",
            "new",
        ),
        (
            "<w:p><w:moveFrom>"
            + RUN.format("from")
            + "</w:moveFrom><w:moveTo>"
            + RUN.format("to")
            + "</w:moveTo></w:p>",
            "to",
        ),
        (
            "<w:p><w:fldSimple>" + RUN.format("7") + "</w:fldSimple><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>",
            "7",
        ),
        ('<w:p><w:pPr><w:outlineLvl w:val="1"/></w:pPr>' + RUN.format("Part") + "</w:p>", "## Part"),
        ('<w:p><w:pPr><w:outlineLvl w:val="9"/></w:pPr>' + RUN.format("Body") + "</w:p>", "Body"),
        (paragraph("# no heading"), "    # no heading"),
        (
            f"<w:tbl><w:tr><w:tc>{paragraph('In a frame')}{paragraph('of text')}</w:tc></w:tr></w:tbl>",
            "In a frame\n\nof text",
        ),
        (
            f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:sdt><w:sdtContent><w:tc>{paragraph('b')}</w:tc></w:sdtContent>"
            f"</w:sdt></w:tr><w:tr><w:tc><w:tbl><w:tr><w:tc>{paragraph('c')}</w:tc><w:tc>{paragraph('d')}</w:tc></w:tr>"
            f"</w:tbl></w:tc><w:tc>{paragraph('e')}{paragraph('f')}</w:tc></w:tr></w:tbl>",
            "| a | b |\n|---|---|\n| \\| c \\| d \\| \\|---\\|---\\| | e f |",
        ),
    ],
)
def test_what_word_shows_is_read(body: str, text: str) -> None:
    assert parse_word(docx(body)).text == text


def test_numbers_are_written_as_word_writes_them() -> None:
    assert [_letter(number) for number in (1, 26, 27, 52, 53)] == ["a", "z", "aa", "zz", "aaa"]
    assert [_roman(number) for number in (1, 4, 9, 14, 40, 90, 400, 1999)] == [
        "i", "iv", "ix", "xiv", "xl", "xc", "cd", "mcmxcix",
    ]  # fmt: skip
