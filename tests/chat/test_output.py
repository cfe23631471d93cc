"""A model's pieces on their way out: cleaned and cited, wherever they are cut."""

import re
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kyrochat.chat.events import CitationAdded, Quote, TextDelta
from kyrochat.chat.output import NOT_BORNE_OUT, Output
from kyrochat.retrieval.types import Passage, Prompt
from tests.chat.test_cleaning import LINES, MARKS, WHOLE, WORDS, is_harmless

CODE = "The first element is set by x[1] = 3 and read by x[1]. Loops call items[2](arg) at their end."
HIVE = "A hive has a single queen who lays up to 2,000 eggs a day. Worker bees live for six weeks in summer."
QUEEN = "The queen lays up to 2,000 eggs a day"
PASSAGES = (
    Passage(UUID(int=1), UUID(int=11), "Bees", 3, 100, 100 + len(HIVE), HIVE, 2.0),
    Passage(UUID(int=2), UUID(int=12), "Code", 1, 0, len(CODE), CODE, 1.0),
)
PROMPT = Prompt("", PASSAGES, (), "What?")


def play(*pieces: str) -> tuple[str, list[Quote], int]:
    output = Output.of(PROMPT)
    events = [event for piece in pieces for event in output.feed(piece)] + list(output.close())
    quotes = [event.citation for event in events if isinstance(event, CitationAdded)]
    return (
        "".join(event.text for event in events if isinstance(event, TextDelta)),
        quotes,
        output.citations.removed,
    )


@pytest.mark.parametrize(
    ("text", "shown", "cited", "removed"),
    [
        # An index is no citation, and loses nothing.
        ("Set x[1] = 3 first.", "Set x\\[1] = 3 first.", 0, 0),
        ("It is x[1].", "It is x\\[1].", 0, 0),
        ("Call items[2](arg).", "Call items\\[2]\\(arg).", 0, 0),
        ("total[1] += 2, a_b[7] is, m[1][2] = 0", "total\\[1] += 2, a_b\\[7] is, m\\[1]\\[2] = 0", 0, 0),
        ("`x[1] = 3` [2].", "`x[1] = 3` [1].", 1, 0),
        ("```\nx[1] = 3 [2]\n```\n", "```\nx[1] = 3 [2]\n```\n", 0, 0),
        ("The first element is set by x[1] = 3 [2].", "The first element is set by x\\[1] = 3 [1].", 1, 0),
        # A citation may stand directly behind a word.
        (f"{QUEEN}[1].", f"{QUEEN}[1].", 1, 0),
        (f"{QUEEN}[1][9] and [1].", f"{QUEEN}[1] and [1].", 1, 1),
        (f"{QUEEN}![1]", f"{QUEEN}! [1]", 1, 0),
        ("Bees play chess on Sundays[1]. Yes", "Bees play chess on Sundays. Yes", 0, 1),
        # Brackets that were escaped are not ours.
        (f"{QUEEN} \\[1].", f"{QUEEN} \\[1].", 0, 0),
        # A backslash of its own escapes none.
        ("y[1]\\\\[9]", "y\\[1]\\\\", 0, 1),
        # Where a marker goes, nothing new comes together.
        ("ht [9]tp://evil.example/?d=1", "ht tp://evil.example/?d=1", 0, 1),
        ("http [9]://evil.example/?d=1", "http ://evil.example/?d=1", 0, 1),
        ("a ! [9][x](y/z)", "a ! [x]", 0, 1),
        ("< [9]img src=x>", "< img src=x>", 0, 1),
        ("``a`` [9]`![x](u)`", "``a`` `![x](u)`", 0, 1),
        ("eggs [9], bees [9]. **x [9]**", "eggs, bees. **x**", 0, 3),
        # A link of a marker goes, the marker stays.
        (f"{QUEEN} [1](http://evil.example).", f"{QUEEN} [1].", 1, 0),
        (f"{QUEEN} <b>[1]</b> ![y](http://evil.example).", f"{QUEEN} [1] y.", 1, 0),
    ],
)
def test_markers_links_and_code(text: str, shown: str, cited: int, removed: int) -> None:
    output, quotes, gone = play(text)

    assert (output, len(quotes), gone) == (shown, cited, removed)
    assert play(*text) == (output, quotes, gone)


MORE = [
    QUEEN,
    f"{QUEEN} [1].",
    " [1]",
    "[2]",
    "[9]",
    " [1, 2]",
    "x[1] = 3",
    "x[1]",
    "`x[1]`",
    " [9]",
    "[1]:",
    "[1](",
    "\\\\",
]
FRAGMENTS = st.sampled_from(MORE) | st.sampled_from(WORDS) | st.sampled_from(MARKS + LINES) | st.sampled_from(WHOLE)
TEXTS = st.lists(FRAGMENTS, max_size=20).map("".join)
UNJOINED = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).disable("text_join")
OWN = re.compile(r"\[(\d{1,3})\]")


@settings(max_examples=300)
@given(TEXTS, st.data())
def test_any_split_gives_the_same(text: str, data: st.DataObject) -> None:
    places = sorted({0, len(text), *data.draw(st.sets(st.integers(0, len(text))))})

    whole = play(text)

    assert play(*[text[start:end] for start, end in pairwise(places)]) == whole
    assert play(*text) == whole


@settings(max_examples=600)
@given(TEXTS)
def test_what_comes_out_is_harmless_and_every_marker_in_it_is_a_citation(text: str) -> None:
    shown, quotes, _ = play(text)

    assert is_harmless(shown), shown
    for quote in quotes:
        passage = next(passage for passage in PASSAGES if passage.document_id == quote.document_id)
        assert passage.text[quote.start - passage.start : quote.end - passage.start] == quote.quote
    numbers = {str(quote.number) for quote in quotes}
    for token in UNJOINED.parse(shown):
        if token.type == "inline":
            # What was escaped is a token of its own.
            prose = "".join(each.content if each.type == "text" else "|" for each in token.children or [])
            assert set(OWN.findall(prose)) <= numbers, (text, shown)


def test_sources_that_hold_nothing_are_said_to() -> None:
    output = Output.of(PROMPT)
    list(output.feed("Bees play chess on Sundays [1]."))
    list(output.close())

    assert list(output.objection()) == [TextDelta(f"\n\n{NOT_BORNE_OUT}")]


@pytest.mark.parametrize("text", ["I do not know.", f"{QUEEN} [1]. Bees play chess on Sundays [1].", ""])
def test_otherwise_nothing_is_said_to(text: str) -> None:
    output = Output.of(PROMPT)
    list(output.feed(text))
    list(output.close())

    assert list(output.objection()) == []
