import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.lexicon import Lexicon
from tests.timing import at_most

TERMS = st.text(min_size=1, max_size=12).filter(lambda term: "\n" not in term)


@given(st.lists(st.lists(TERMS, max_size=8), max_size=8), st.integers(0, 2**31))
def test_a_lexicon_survives_its_bytes(token_lists: list[list[str]], chunk_count: int) -> None:
    lexicon = Lexicon.build(token_lists, chunk_count)

    assert Lexicon.from_bytes(lexicon.to_bytes()) == lexicon


def test_a_term_counts_once_per_chunk_and_rare_terms_weigh_more() -> None:
    lexicon = Lexicon.build([["pump", "pump", "valve"], ["pump"], ["rust"]], chunk_count=40)

    assert (lexicon.chunk_count, lexicon.sample_count) == (40, 3)
    assert lexicon.frequencies == {"pump": 2, "valve": 1, "rust": 1}
    assert lexicon.idf("unheard") > lexicon.idf("valve") > lexicon.idf("pump") > 0


def test_an_empty_lexicon_weighs_all_terms_alike() -> None:
    lexicon = Lexicon.build([])

    assert lexicon.idf("pump") == lexicon.idf("valve") > 0
    assert lexicon.neighbours("pump") == []


@pytest.mark.parametrize("typo", ["retriv", "retrriev", "retriex", "rteriev", "etriev"])
def test_one_edit_away_is_found(typo: str) -> None:
    lexicon = Lexicon.build([["retriev", "weather"]])

    assert lexicon.neighbours(typo) == ["retriev"]


@pytest.mark.parametrize("term", ["2019", "cat", "retriev", "weathxyr", "w" * 40])
def test_numbers_short_known_distant_and_endless_terms_have_no_neighbours(term: str) -> None:
    lexicon = Lexicon.build([["2018", "cart", "retriev", "weather", "w" * 41]])

    assert lexicon.neighbours(term) == []


def test_a_word_with_an_error_in_its_ending_is_taken_by_its_beginning() -> None:
    lexicon = Lexicon.build([["infect", "infe", "weather"]])

    assert lexicon.neighbours("infectoin") == ["infect"]
    # One edit away is nearer.
    assert lexicon.neighbours("infectx") == ["infect"]
    assert lexicon.neighbours("weatherproofing") == []
    assert lexicon.neighbours("wea") == []


def test_unknown_terms_give_way_to_the_commonest_that_they_may_be_meant_for() -> None:
    lexicon = Lexicon.build([["weather"], ["weather", "leather"], ["pump"]])

    assert lexicon.corrected(["xeather", "pump", "leather", "2019", "unheard", "xeather"]) == [
        "weather",
        "pump",
        "leather",
        "2019",
        "unheard",
        "weather",
    ]


def test_neighbours_come_fast_from_a_large_vocabulary() -> None:
    lexicon = Lexicon.build([[f"{a}{b}{c}ology" for a in "abcdefgh" for b in "abcdefghij" for c in "abcdefghij"]])
    lexicon.neighbours("warmingup")

    with at_most(seconds=0.5):
        found = lexicon.neighbours("aabologx")

    assert found == ["aabology"]


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02" + bytes(8) + b"x", Lexicon.build([["a"]]).to_bytes()[:-3]])
def test_foreign_or_cut_off_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Lexicon.from_bytes(data)
