from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pgvector import SparseVector as PgSparseVector

from kyrochat.retrieval.lexical import (
    DIMENSIONS,
    MAX_NONZEROS,
    chunk_tokens,
    encode_chunk,
    encode_query,
    encode_tokens,
    query_weights,
    to_sparsevec_text,
    tokenize,
)
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.types import SparseVector


def index_of(term: str) -> int:
    return crc32(term.encode()) % (DIMENSIONS - 1) + 1


def score(query: SparseVector, chunk: SparseVector) -> float:
    weights = dict(zip(chunk.indices, chunk.values, strict=True))
    return sum(value * weights.get(i, 0.0) for i, value in zip(query.indices, query.values, strict=True))


@pytest.mark.parametrize(
    ("text", "language", "terms"),
    [
        ("How can you be running?", "english", ["run"]),
        ("getUserName", "english", ["get", "user", "name", "getusername"]),
        ("max_upload_bytes", "english", ["max", "upload", "byte", "max_upload_bytes"]),
        ("HTTPServer a1b2", "english", ["http", "server", "httpserver", "1", "b", "2", "a1b2"]),
        ("Die Häuser der Städte", "german", ["haus", "stadt"]),
        ("café CAFÉ cafe", "none", ["cafe", "cafe", "cafe"]),
        ("đường phố", "vietnamese", ["đường", "phố"]),
        ("книги на столе", "english", ["книг", "стол"]),
        ("東京都", "english", ["東", "東京", "京", "京都", "都"]),
        ("iPhone手机", "english", ["phone", "iphone", "手", "手机", "机"]),
        ("ภาษาไทย", "english", ["ภาษ", "าษา", "ษาไ", "าไท", "ไทย"]),
        ("soft\u00adware", "english", ["softwar"]),
        ("", "english", []),
        ("!?… --- 😀", "english", []),
    ],
)
def test_texts_become_terms_by_their_script(text: str, language: str, terms: list[str]) -> None:
    assert tokenize(text, language) == terms


def test_latin_script_is_stemmed_by_the_language_that_its_function_words_tell() -> None:
    text = "Wie viele Häuser stehen in der Stadt?"

    assert tokenize(text) == tokenize(text, "german") != tokenize(text, "english")


@given(st.text())
def test_any_text_has_terms_that_are_not_empty_and_not_too_long(text: str) -> None:
    terms = tokenize(text)

    assert all(0 < len(term) <= 128 for term in terms)


@given(st.text(), st.text())
def test_any_chunk_and_question_encode_to_ascending_positive_vectors(title: str, text: str) -> None:
    lexicon = Lexicon.build([chunk_tokens(title, text)])

    for vector in (encode_chunk(title, text), encode_query(text, lexicon)):
        assert list(vector.indices) == sorted(set(vector.indices))
        assert all(1 <= index < DIMENSIONS for index in vector.indices)
        assert all(value > 0 for value in vector.values)
        assert len(vector.indices) == len(vector.values)


def test_a_chunk_weighs_its_terms_as_bm25_does_with_an_average_of_a_hundred_tokens() -> None:
    vector = encode_tokens(["pump", "pump", "valve"])

    length_part = 1.2 * (0.25 + 0.75 * 3 / 100)
    weights = dict(zip(vector.indices, vector.values, strict=True))
    assert weights == pytest.approx(
        {index_of("pump"): 2 * 2.2 / (2 + length_part), index_of("valve"): 2.2 / (1 + length_part)}
    )


def test_the_title_counts_twice_and_a_heading_only_where_the_text_does_not_show_it() -> None:
    assert chunk_tokens("Pumps", "A valve.", "english", "Repair") == ["pump", "pump", "repair", "valv"]
    assert chunk_tokens("Pumps", "# Repair\nA valve.", "english", "Repair") == ["pump", "pump", "repair", "valv"]


def test_a_misspelt_word_still_finds_its_chunk() -> None:
    texts = ["The retrieval of passages.", "The weather in Lisbon."]
    lexicon = Lexicon.build(chunk_tokens("", text) for text in texts)

    query = encode_query("retreival", lexicon)

    scores = [score(query, encode_chunk("", text)) for text in texts]
    assert scores[0] > 0
    assert scores[1] == 0


def test_words_that_a_typing_error_may_have_been_meant_for_share_its_weight() -> None:
    lexicon = Lexicon.build([["weather"]] * 9 + [["leather"]] * 1 + [["pump"]] * 10)

    weights = query_weights("xeather pump", lexicon, "none")

    assert weights == pytest.approx(
        {
            "xeather": lexicon.idf("xeather"),
            "pump": lexicon.idf("pump"),
            "weather": lexicon.idf("weather") * 0.9**0.5,
            "leather": lexicon.idf("leather") * 0.1**0.5,
        }
    )


def test_a_question_of_stopwords_encodes_to_nothing() -> None:
    vector = encode_query("what is it?", Lexicon(0, 0, {}))

    assert vector == SparseVector((), ())
    assert to_sparsevec_text(vector) == "{}/1000000000"


def test_an_enormous_chunk_keeps_its_heaviest_terms() -> None:
    tokens = [f"word{i}" for i in range(3_000)] + ["pump"] * 50

    vector = encode_tokens(tokens)

    assert len(vector.indices) == MAX_NONZEROS
    assert index_of("pump") in vector.indices


def test_the_text_form_counts_from_one() -> None:
    assert to_sparsevec_text(SparseVector((1, 7), (0.5, 1.2))) == "{1:0.5,7:1.2}/1000000000"


@given(st.dictionaries(st.integers(1, DIMENSIONS - 1), st.floats(0.0625, 50, width=32), max_size=40))
def test_pgvector_reads_the_text_form_as_the_same_vector(weights: dict[int, float]) -> None:
    indices = tuple(sorted(weights))
    vector = SparseVector(indices, tuple(weights[index] for index in indices))

    read = PgSparseVector.from_text(to_sparsevec_text(vector))

    assert read.dimensions() == DIMENSIONS
    assert read.indices() == [index - 1 for index in indices]
    assert read.values() == pytest.approx(list(vector.values), rel=1e-4)
