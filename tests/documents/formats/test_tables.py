"""Tables: rows that can be understood without what stands above them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.delimited import parse_csv, parse_tsv
from kyrochat.retrieval.markdown import headings


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (b"Month,Work\nApril,Inspection\nMay,Swarms", "- Month: April; Work: Inspection\n- Month: May; Work: Swarms"),
        (b"Month;Work\nApril;1,5\nMay;2,5", "- Month: April; Work: 1,5\n- Month: May; Work: 2,5"),
        (b"Month\tWork\nApril\tA, B", "- Month: April; Work: A, B"),
        (b"Month|Work\nApril|A", "- Month: April; Work: A"),
        (b"sep=;\r\nMonth;Work\r\nApril;A", "- Month: April; Work: A"),
        (
            b"Month,Work\nApril\nMay,Swarms,many",
            "- Month: April\n- Month: May; Work: Swarms; many",  # the last column has no name
        ),  # a column has no name twice
        (b"Month,Work\nApril", "- Month: April"),
        (b",Work\nApril,A", "Work\nApril | A"),  # one name is not enough to go by
        (b",Work,Hours\nApril,A,2", "- April; Work: A; Hours: 2"),
        (b"Month,Month\nApril,A", "Month | Month\nApril | A"),
        (b"2024,2025\n1,2", "2024 | 2025\n1 | 2"),
        (b"only one line,of cells", "only one line | of cells"),
        (b"one\ntwo\n\nthree", "one\ntwo\nthree"),
        (b'Name,Say\nAda,"Hello, ""Bees""\nand bye"', '- Name: Ada; Say: Hello, "Bees" and bye'),
        (b'Name,Size\npipe,5" wide\nrope,2" wide\n' + b"x,y\n" * 300, '- Name: pipe; Size: 5" wide'),
        (b'Name,Size\npipe,"5 wide\n' + b"x,y\n" * 300, '- Name: pipe; Size: "5 wide\n- Name: x; Size: y'),
        (b"Name,Empty,Size\nA,,1\nB,,2", "- Name: A; Size: 1\n- Name: B; Size: 2"),
        (b"# Name,Size\n# A,1", "- # Name: # A; Size: 1"),
    ],
)
def test_a_row_says_what_its_cells_are(table: bytes, text: str) -> None:
    assert parse_csv(table).text.startswith(text)


def test_tabs_part_the_cells_of_a_tsv_whatever_else_is_in_it() -> None:
    assert parse_tsv(b"a,b,c\td\n1,2,3\t4").text == "- a,b,c: 1,2,3; d: 4"


@given(st.lists(st.lists(st.text(max_size=12), max_size=5), max_size=12))
def test_no_cell_is_lost_and_none_becomes_a_heading(rows: list[list[str]]) -> None:
    def without_bars(text: str) -> str:
        return text.replace("\\|", "").replace("|", "")

    table, records = markdown.table(rows), markdown.records(rows)

    assert headings(table) == headings(records) == []
    filled = [row for row in rows if any(map(markdown.one_line, row))]
    for number, row in enumerate(filled):
        for cell in map(markdown.one_line, row):
            assert without_bars(cell).strip() in without_bars(table)
            # A column's name is not repeated where the column holds nothing.
            assert number == 0 or without_bars(cell).strip() in without_bars(records)


@given(st.lists(st.sampled_from(["# a", "## b", "```", "~~~", "===", "---", "x", "    ", "- c", "\t# d", " #", "#"])))
def test_a_plain_text_has_no_headings_whatever_its_lines_begin_with(lines: list[str]) -> None:
    text = "\n".join(lines)

    written = markdown.plain(text)

    assert [heading.title for heading in headings(written + "\n\n# The only one")] == ["The only one"]
    assert written.split() == text.split()
