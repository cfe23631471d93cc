import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.support import MAX_SPAN_SHARE, SHORT_PASSAGE_CHARS, best_span

PASSAGE = (
    "The lighthouse shows a white flash every eight seconds. Its lamp was converted from petroleum\n"
    "to electricity in 1931,[4] and the last keeper, Joris Hale, left the tower in 1978. Since then the light has been "
    "controlled from the pilot station in Eastwick. The tower is open to visitors on Sundays. A guide explains the "
    "mechanism of the lamp. Dogs have to stay outside. The stairs have 142 steps, and the view reaches the islands."
)


def quote(claim: str) -> str | None:
    span = best_span(PASSAGE, claim)
    return None if span is None else PASSAGE[slice(*span)]


@pytest.mark.parametrize(
    ("claim", "start", "end"),
    [
        ("The lighthouse shows a white flash every eight seconds. [1]", "The lighthouse", "eight seconds."),
        ("- **Dogs have to stay outside** [2]", "Dogs have", "outside."),
        ("“the stairs have 142 steps”", "The stairs", "142 steps"),
        (
            "Its lamp was converted from petroleum to electricity in 1931, and the last keeper, Joris Hale, left the "
            "tower in 1978.",
            "Its lamp",
            "in 1978.",
        ),
    ],
)
def test_verbatim_words_are_found_whatever_their_white_space_case_and_marks(claim: str, start: str, end: str) -> None:
    found = quote(claim)

    assert found is not None
    assert found.startswith(start)
    assert found.endswith(end)


def test_a_paraphrase_finds_its_sentence() -> None:
    assert quote("Visitors can see the tower on Sundays.") == "The tower is open to visitors on Sundays."


def test_a_claim_made_from_two_sentences_finds_both() -> None:
    found = quote("The tower is open to visitors on Sundays, when a guide explains the lamp's mechanism.")

    assert found == "The tower is open to visitors on Sundays. A guide explains the mechanism of the lamp."


@pytest.mark.parametrize(
    "claim",
    ["", "[1]", "...", "Paris is the capital of France.", "The ferry to the mainland costs 12 euros.", "of the and"],
)
def test_what_the_passage_does_not_say_has_no_support(claim: str) -> None:
    assert quote(claim) is None


@pytest.mark.parametrize(
    ("passage", "claim", "quoted"),
    [
        ("The fee is 1.50 euros a day.", "The fee is 1", "The fee is 1.50 euros a day."),
        ("The fee is 1.50 euros a day.", "The fee is 1.", "The fee is 1.50 euros a day."),
        ("The fee is 1.50 euros a day.", "The fee is 1.50", "The fee is 1.50"),
        ("The queen lays up to 2,000 eggs.", "000 eggs.", "The queen lays up to 2,000 eggs."),
        ("It was lit in 1931, and left in 1978.", "it was lit in 1931", "It was lit in 1931"),
    ],
)
def test_a_quote_begins_and_ends_within_no_number(passage: str, claim: str, quoted: str) -> None:
    span = best_span(passage, claim)

    assert span is not None
    assert passage[slice(*span)] == quoted


def test_a_long_passage_is_never_quoted_whole() -> None:
    assert len(PASSAGE) > SHORT_PASSAGE_CHARS

    found = quote(PASSAGE)

    assert found is None or len(found) <= MAX_SPAN_SHARE * len(PASSAGE)


@given(st.text(max_size=300), st.text(max_size=80))
def test_a_span_is_always_inside_the_passage(passage: str, claim: str) -> None:
    span = best_span(passage, claim)

    assert span is None or 0 <= span[0] < span[1] <= len(passage)
