import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyrochat.retrieval.chunking import MAX_CHUNK_CHARS, split
from kyrochat.retrieval.types import Chunk
from tests.timing import at_most

FRAGMENTS = st.sampled_from(
    [
        "# Title\n\n",
        "## Part *two*\n",
        "Setext\n=====\n",
        "word ",
        "Sentence one. ",
        "\r\n",
        "\n\n",
        "😀",
        "東京都。",
        "é",
        "e\u0301",
        "```\n# no heading\n```\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "- item\n",
        "   ",
        "\t",
        "\u2028",
        "\x1c",
        "a" * 700,
        "long text about pumps and valves. " * 12,
        "[link](http://x.example) ",
        "<b>",
        "> q\n",
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=20), max_size=60).map("".join)


def assert_sound(text: str, chunks: list[Chunk]) -> None:
    at = 0
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        assert len(chunk.text) <= MAX_CHUNK_CHARS
        assert chunk.start >= at
        assert not text[at : chunk.start].strip()
        at = chunk.end
    assert not text[at:].strip()


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.booleans())
def test_chunks_hold_all_of_a_text_at_its_exact_places(text: str, markdown: bool) -> None:
    assert_sound(text, split(text, markdown=markdown))


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.booleans())
def test_no_chunk_reaches_over_the_edge_of_a_page(pages: list[str], markdown: bool) -> None:
    text = "".join(pages)
    starts = [len("".join(pages[:number])) for number in range(len(pages))]

    chunks = split(text, markdown=markdown, page_starts=starts)

    assert_sound(text, chunks)
    for chunk in chunks:
        assert chunk.page is not None
        page_start = starts[chunk.page - 1]
        assert page_start <= chunk.start
        assert chunk.end <= page_start + len(pages[chunk.page - 1])


def test_a_section_that_goes_on_over_the_page_keeps_its_heading() -> None:
    first, second = "# Pumps\n\nA pump moves water.\n\n", "It needs a valve."

    chunks = split(first + second, markdown=True, page_starts=[0, len(first)])

    assert [(chunk.page, chunk.heading) for chunk in chunks] == [(1, "Pumps"), (2, "Pumps")]


def test_a_text_without_pages_has_chunks_without_pages() -> None:
    assert {chunk.page for chunk in split("word " * 1000, markdown=False)} == {None}


def test_chunks_of_prose_have_some_two_hundred_words() -> None:
    text = "\n\n".join(f"Paragraph {i}. " + "The pump moves water through a valve. " * 12 for i in range(40))

    words = [len(chunk.text.split()) for chunk in split(text, markdown=False)]

    assert 130 <= sum(words) / len(words) <= 220


def test_a_section_keeps_its_heading_and_a_chunk_knows_the_nearest_one() -> None:
    sections = "".join(f"## Part {i}\n\n" + "The pump moves water through a valve. " * 26 + "\n\n" for i in range(6))

    chunks = split("# Manual\n\n" + sections, markdown=True)

    assert_sound("# Manual\n\n" + sections, chunks)
    for i in range(6):
        start = next(chunk for chunk in chunks if f"## Part {i}" in chunk.text)
        assert "The pump moves" in start.text.partition(f"## Part {i}")[2]
    assert {chunk.heading for chunk in chunks} == {"Manual", *(f"Part {i}" for i in range(1, 6))}


def test_a_heading_goes_with_a_paragraph_too_long_for_one_chunk() -> None:
    chunks = split("# Pumps\n\n" + "The pump moves water through a valve. " * 100, markdown=True)

    assert chunks[0].text.startswith("# Pumps\n\nThe pump moves")
    assert {chunk.heading for chunk in chunks} == {"Pumps"}


def test_a_chunk_of_white_space_and_headings_does_not_leave_a_blank_one_behind() -> None:
    text = "   \r\n# Title\n\n# Title\n\n" + "a" * 1_100

    chunks = split(text, markdown=True)

    assert_sound(text, chunks)
    assert len(chunks) == 1


def test_what_looks_like_a_heading_inside_code_is_none() -> None:
    chunks = split("# Real\n\n```sh\n# comment\nmake\n```\n\nText.", markdown=True)

    assert [chunk.heading for chunk in chunks] == ["Real"]


def test_plain_text_has_no_headings() -> None:
    assert [chunk.heading for chunk in split("# not markdown\n\nText.", markdown=False)] == [None]


def test_chinese_is_cut_shorter_because_it_says_more_in_a_character() -> None:
    chunks = split("泵将水送过阀门，然后流入水箱。" * 200, markdown=False)

    assert max(len(chunk.text) for chunk in chunks) <= 600


@pytest.mark.parametrize("markdown", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        "a" * 400_000,
        "lorem ipsum dolor " * 60_000,
        "\n" * 300_000,
        "# Heading\n\n" * 30_000,
        "😀" * 100_000,
        "> " * 100_000,
    ],
    ids=["no spaces", "one line", "only newlines", "only headings", "emoji", "nested quotes"],
)
def test_odd_texts_are_cut_in_linear_time(text: str, markdown: bool) -> None:
    with at_most(seconds=15):
        chunks = split(text, markdown=markdown)

    assert_sound(text, chunks)
