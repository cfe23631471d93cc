"""Markers become citations, whatever the pieces that the text comes in."""

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kyrochat.chat.citations import CitationStream
from kyrochat.chat.events import CitationAdded, Quote, TextDelta
from kyrochat.retrieval.types import Passage
from tests.timing import at_most

HIVE = "A hive has a single queen who lays up to 2,000 eggs a day. Worker bees live for six weeks in summer."
TIDE = "The moon pulls the sea. Spring tides come with the new moon and the full moon."
QUEEN = "The queen lays up to 2,000 eggs a day"
MOON = "Spring tides come with the full moon"
PASSAGES = [
    Passage(UUID(int=1), UUID(int=11), "Bees", 3, 100, 100 + len(HIVE), HIVE, 2.0, page=7),
    Passage(UUID(int=2), UUID(int=12), "Tides", 1, 0, len(TIDE), TIDE, 1.0),
]
EGGS = Quote(1, UUID(int=11), "Bees", 3, 100, 158, "A hive has a single queen who lays up to 2,000 eggs a day.", 7)
SPRING = "Spring tides come with the new moon and the full moon."
TIDES = Quote(1, UUID(int=12), "Tides", 1, TIDE.index(SPRING), len(TIDE), SPRING)


def play(*pieces: str) -> tuple[str, list[Quote], int]:
    """Return the text, the citations and how many markers were removed."""
    stream = CitationStream([*PASSAGES])
    events = [event for piece in pieces for event in stream.feed(piece)] + list(stream.close())
    quotes = [event.citation for event in events if isinstance(event, CitationAdded)]
    assert [quote.number for quote in quotes] == list(range(1, stream.count + 1))
    assert all(event.text for event in events if isinstance(event, TextDelta))
    return "".join(event.text for event in events if isinstance(event, TextDelta)), quotes, stream.removed


@pytest.mark.parametrize(
    ("text", "shown", "quotes", "removed"),
    [
        (f"{QUEEN} [1].", f"{QUEEN} [1].", [EGGS], 0),
        (f"{QUEEN}[1].", f"{QUEEN}[1].", [EGGS], 0),
        (f"{MOON} [2].", f"{MOON} [1].", [TIDES], 0),
        (f"{QUEEN} [1, 2].", f"{QUEEN} [1].", [EGGS], 1),
        (f"{QUEEN} [1,1].", f"{QUEEN} [1].", [EGGS], 0),
        (f"{QUEEN} [1][1].", f"{QUEEN} [1][1].", [EGGS], 0),
        (f"{QUEEN} [99].", f"{QUEEN}.", [], 1),
        (f"{QUEEN} [0].", f"{QUEEN}.", [], 1),
        (f"{QUEEN} [2].", f"{QUEEN}.", [], 1),
        ("Bees play chess on Sundays [1].", "Bees play chess on Sundays.", [], 1),
        # A marker stays one in front of a parenthesis; where it points is verified, so the rest is plain text.
        (f"{QUEEN} [1](http://x).", f"{QUEEN} [1](http://x).", [EGGS], 0),
        # These are not markers: they stay as they are.
        (f"{QUEEN} [ 1 ].", f"{QUEEN} [ 1 ].", [], 0),
        (f"{QUEEN} [1", f"{QUEEN} [1", [], 0),
        (f"{QUEEN} [", f"{QUEEN} [", [], 0),
        (f"{QUEEN} [1234]", f"{QUEEN} [1234]", [], 0),
        (f"{QUEEN} [one]", f"{QUEEN} [one]", [], 0),
        ("See [1", "See [1", [], 0),
        ("", "", [], 0),
        ("[1]", "", [], 1),
    ],
)
def test_a_marker_becomes_a_citation_that_holds_or_goes(
    text: str, shown: str, quotes: list[Quote], removed: int
) -> None:
    assert play(text) == (shown, quotes, removed)
    assert play(*text) == (shown, quotes, removed)


def test_the_same_quote_keeps_its_number() -> None:
    text, quotes, removed = play(f"{QUEEN} [1]. {MOON} [2]. Again: the queen lays 2,000 eggs a day [1].")

    assert text == f"{QUEEN} [1]. {MOON} [2]. Again: the queen lays 2,000 eggs a day [1]."
    assert [quote.quote for quote in quotes] == [EGGS.quote, TIDES.quote]
    assert removed == 0


def test_a_citation_comes_right_before_its_marker() -> None:
    stream = CitationStream([*PASSAGES])

    events = [*stream.feed(f"{QUEEN} [1]."), *stream.close()]

    assert events == [TextDelta(QUEEN), CitationAdded(EGGS), TextDelta(" [1]"), TextDelta(".")]


def test_text_that_cannot_become_a_marker_is_not_held_back() -> None:
    stream = CitationStream([*PASSAGES])

    assert list(stream.feed("Bees live [in")) == [TextDelta("Bees live [in")]
    assert list(stream.feed(" hives [1")) == [TextDelta(" hives")]
    assert list(stream.feed("0")) == []
    assert list(stream.feed("x")) == [TextDelta(" [10x")]


LONGEST = "[111" + "  ,  222" * 9 + "]"
FRAGMENTS = st.sampled_from(
    [QUEEN, MOON, "[1]", " [1]", "[1, 2]", "[ 1 ]", "[0]", "[99]", "[1](http://x)", "[1,\n2]", LONGEST]
) | st.sampled_from(["[1", "]", "[", ",", " ", "\n", "\t", "1", ". ", "\n\n", "- ", " " * 30, "٣", "é"])


@given(st.lists(FRAGMENTS, max_size=14), st.data())
@example(["[", "1", " " * 30, " " * 30, " " * 30], None)
@example([QUEEN, LONGEST.replace("222", "001")], None)
def test_any_split_of_a_text_gives_the_same(fragments: list[str], data: st.DataObject | None) -> None:
    text = "".join(fragments)
    whole = play(text)
    places = sorted(data.draw(st.sets(st.integers(0, len(text))))) if data else []
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]

    assert play(*pieces) == whole
    assert play(*text) == whole


@given(st.lists(FRAGMENTS, max_size=14))
def test_nothing_but_markers_and_white_space_before_them_is_lost(fragments: list[str]) -> None:
    text, quotes, _ = play(*fragments)

    letters = [sign for sign in "".join(fragments) if sign.isalpha()]
    assert [sign for sign in text if sign.isalpha()] == letters
    for quote in quotes:
        passage = next(passage for passage in PASSAGES if passage.document_id == quote.document_id)
        assert passage.text[quote.start - passage.start : quote.end - passage.start] == quote.quote


@pytest.mark.parametrize("hostile", [" ", "\t", "[", "[1", "[1,", "[1 ", "[1]", " [", "\n", "1,", "]"])
@pytest.mark.parametrize("end", ["", "x", "]"])
def test_no_text_takes_long(hostile: str, end: str) -> None:
    text = (hostile * 100_000)[:100_000] + end
    stream = CitationStream([])

    with at_most(seconds=2):
        for _ in (*stream.feed(text), *stream.close()):
            pass
