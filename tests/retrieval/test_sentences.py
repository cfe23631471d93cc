import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.sentences import MAX_SENTENCE_CHARS, sentence_spans
from tests.timing import at_most

FRAGMENTS = st.sampled_from(
    ["Dr. Who. ", "3.5 ", "U.S. ", "。", "؟ ", "। ", "\n", "\r\n", "\n\n", "- ", "1. ", "| a | b |\n", "```\n", "# ",
     "> ", "word ", "A sentence. ", "😀", "...", "\"Why?\" ", "x" * 300]
)  # fmt: skip


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@given(st.lists(FRAGMENTS | st.text(max_size=10), max_size=40).map("".join))
def test_spans_are_ordered_stripped_bounded_and_inside_the_text(text: str) -> None:
    at = 0
    for start, end in sentence_spans(text):
        assert at <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert end - start <= MAX_SENTENCE_CHARS
        at = end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith paid $3.50. He left.", ["Dr. Smith paid $3.50.", "He left."]),
        ("J. A. Brown lives in the U.S. The law is old.", ["J. A. Brown lives in the U.S.", "The law is old."]),
        ("See fig. 3 and No. 5, e.g. here. Yes.", ["See fig. 3 and No. 5, e.g. here.", "Yes."]),
        ('"Why?" she asked. "No!" He went.', ['"Why?" she asked.', '"No!"', "He went."]),
        ("Go to https://a.example/b.c?d=e. Then stop.", ["Go to https://a.example/b.c?d=e.", "Then stop."]),
        ("Am 3. Oktober war es so. Gut.", ["Am 3. Oktober war es so.", "Gut."]),
        ("It held.[12] Then not.", ["It held.[12]", "Then not."]),
        ("今天下雨。你好吗？「好！」他说。", ["今天下雨。", "你好吗？", "「好！」", "他说。"]),
        ("هل هذا سؤال؟ نعم.", ["هل هذا سؤال؟", "نعم."]),
        ("यह एक है। वह दो है।", ["यह एक है।", "वह दो है।"]),
        ("A line that is\nwrapped here. Next.", ["A line that is\nwrapped here.", "Next."]),
        ("# Setup\nInstall it. Run it.", ["Setup", "Install it.", "Run it."]),
        ("- First. Second.\n- Third\n1. Fourth", ["First.", "Second.", "Third", "Fourth"]),
        ("| Plan | Price |\n|---|---|\n| Pro | 12 € |", ["Plan | Price", "Pro | 12 €"]),
        ("```\nx = 1. + 2\ny = 3\n```", ["x = 1. + 2", "y = 3"]),
        ("Name: Ada\nPhone: 12", ["Name: Ada", "Phone: 12"]),
        (" \n\n ", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_run_without_an_end_is_cut_between_words() -> None:
    text = "never ending words " * 100

    assert all(piece.startswith(("never", "ending", "words")) for piece in sentences(text))


def test_enormous_lines_take_linear_time() -> None:
    with at_most(seconds=10):
        for text in ("a" * 300_000, " " * 300_000, "| " * 150_000, "a. " * 100_000, "> " * 150_000):
            sentence_spans(text)
