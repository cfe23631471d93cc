import pytest

from kyrochat.documents.formats.pdf import parse_pdf
from kyrochat.documents.formats.pdf_lines import cleaned
from tests.documents.hostile import one_page_pdf, pdf, stream


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a com\ufffepiler", "a compiler"),
        ("the U\x02S", "the U-S"),
        ("\uf0b7 Smoker", "- Smoker"),
        ("•Veil", "- Veil"),
        ("关 于 红 军 作 战", "关于红军作战"),
        ("原 则 … … １", "原则……１"),
        ("使用 Python 语言 和 Java", "使用 Python 语言 和 Java"),
        (" a\rb\nc ", "ab c"),
    ],
)
def test_what_is_only_typesetting_goes(line: str, text: str) -> None:
    assert cleaned(line) == text


def test_gaps_that_are_wider_than_others_part_cells() -> None:
    content = (
        b"BT /F 10 Tf 72 700 Td (Month) Tj 100 0 Td (Work to do) Tj 150 0 Td (Hours) Tj "
        b"-250 -14 Td (April) Tj 100 0 Td (First look) Tj 150 0 Td (2) Tj ET"
    )

    assert parse_pdf(one_page_pdf(stream(content))).text == "Month | Work to do | Hours\nApril | First look | 2"


def test_large_lines_are_headings_and_room_parts_paragraphs() -> None:
    body = b"".join(b"0 -14 Td (Bees fly when it is warm and the sun is out, line %d.) Tj " % n for n in range(4))
    content = (
        b"BT /F 20 Tf 72 760 Td (All about) Tj 0 -24 Td (bees) Tj /F 10 Tf 0 -20 Td "
        + body + b"/F 14 Tf 0 -40 Td (# Wasps) Tj /F 10 Tf 0 -10 Td " + body + b"0 -40 Td (# no heading) Tj ET"
    )  # fmt: skip
    lines = "\n".join(f"Bees fly when it is warm and the sun is out, line {n}." for n in range(4))

    text = parse_pdf(one_page_pdf(stream(content))).text

    assert text == f"# All about bees\n\n{lines}\n\n## Wasps\n\n{lines}\n\n    # no heading"


def test_what_every_page_repeats_is_no_heading() -> None:
    page = b"BT /F 20 Tf 72 760 Td (Journal) Tj /F 10 Tf 0 -40 Td (%b %d) Tj ET"
    count = 6
    data = pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b"".join(b"%d 0 R " % (4 + 2 * n) for n in range(count)), count),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *[
            part
            for n in range(count)
            for part in (
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
                b"/Resources << /Font << /F 3 0 R >> >> >>" % (5 + 2 * n),
                stream(page % (b"Bees fly when it is warm. " * 3, n)),
            )
        ],
    )

    extracted = parse_pdf(data)

    assert "#" not in extracted.text
    assert extracted.text.count("Journal") == count
    assert len(extracted.page_starts) == count
