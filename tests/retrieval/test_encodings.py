from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.encodings import Encoder, Encoders, Encoding
from kyrochat.retrieval.languages import AUTO, Language
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.rare_terms import BUDGET, is_enough, rare_terms
from kyrochat.retrieval.types import SparseVector

A, B = UUID(int=1), UUID(int=2)
ENCODINGS = st.builds(
    Encoding, st.integers(1, 1_000_000), st.sampled_from([each.value for each in Language]), st.booleans()
)


@given(ENCODINGS, ENCODINGS)
def test_an_encodings_number_says_all_of_it(one: Encoding, other: Encoding) -> None:
    assert Encoding.from_number(one.number) == one
    assert (one.number == other.number) == (one == other)
    assert one.number < 2**31


def test_stored_numbers_keep_their_meaning() -> None:
    """Rows hold them. A language that is moved in the list would call for encoding all bots anew."""
    assert Encoding(1, AUTO).number == 1_024
    assert Encoding(1, "english", salted=True).number == 1_029
    assert Encoding(2, "thai").number == 2_122
    assert len(Language) == 38
    assert Encoding.from_number(1_024 + 1_000) == Encoding(1, AUTO)


@given(st.sets(st.integers(1, 10**9 - 2), min_size=1, max_size=200), ENCODINGS)
def test_salts_are_integers_of_postgresql_that_no_other_bot_or_encoding_shares(
    terms: set[int], encoding: Encoding
) -> None:
    vector = SparseVector(tuple(sorted(terms)), (1.0,) * len(terms))
    other = Encoding(encoding.encoder_version + 1, encoding.language, encoding.salted)

    salts = encoding.salt(A, vector)

    assert salts == encoding.salt(A, vector)
    assert all(-(2**31) <= salt < 2**31 for salt in salts)
    assert len(salts) == len(terms)
    # Two of many may collide: that costs a look at a row, which is told from others by its bot.
    assert len(set(salts) & set(encoding.salt(B, vector))) <= 1
    assert len(set(salts) & set(other.salt(A, vector))) <= 1


@pytest.mark.parametrize(
    ("chunks", "salted", "wanted"),
    [
        (0, False, False),
        (100, False, False),
        (101, False, True),
        (60, True, False),
        (61, True, True),
        (101, True, True),
    ],
)
def test_a_bots_terms_are_listed_when_it_is_large_and_until_it_is_clearly_smaller(
    chunks: int, salted: bool, wanted: bool
) -> None:
    encoders = Encoders(salted_above=100, salted_until=60)

    assert encoders.wanted("german", chunks, Encoding(1, AUTO, salted)) == Encoding(1, "german", wanted)


def test_the_newest_encoder_is_wanted_and_a_still_newer_one_is_left_alone() -> None:
    encoders = Encoders({1: Encoder(), 3: Encoder(3)})

    assert encoders.current.version == 3
    assert encoders.wanted(AUTO, 1, Encoding(1)) == Encoding(3)
    assert encoders.wanted(AUTO, 1, Encoding(4)) == Encoding(4)
    assert [encoders.of(Encoding(version)).version for version in (1, 2, 3, 4)] == [1, 3, 3, 3]


LEXICON = Lexicon(1_000, 1_000, {"the": 900, "pump": 60, "valve": 39, "rust": 1})


def test_the_rarest_terms_are_looked_up_as_long_as_few_chunks_hold_them() -> None:
    assert BUDGET == 0.1
    assert rare_terms({"the": 1.0, "pump": 1.0, "valve": 1.0, "rust": 1.0, "new": 1.0}, LEXICON) == {
        "new",
        "rust",
        "valve",
        "pump",
    }
    assert rare_terms({"the": 1.0}, LEXICON) == set()
    assert rare_terms({}, LEXICON) == set()


@pytest.mark.parametrize(
    ("scores", "wanted", "enough"),
    [([9.0, 6.6], 2, True), ([9.0, 6.4], 2, False), ([9.0], 2, False), ([9.0, 6.4], 1, True), ([], 2, False)],
)
def test_hits_that_the_common_terms_alone_could_beat_are_not_enough(
    scores: list[float], wanted: int, enough: bool
) -> None:
    hits = [(UUID(int=place), score) for place, score in enumerate(scores)]

    assert is_enough(hits, {"rust": 7.0, "the": 2.0, "pump": 3.0}, {"rust"}, wanted) is enough
    # Where all terms were looked up, whatever was found is all there is.
    assert is_enough(hits, {"rust": 7.0}, {"rust"}, wanted)
