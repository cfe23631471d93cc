"""Texts become terms, terms become sparse vectors whose inner product is BM25.

A chunk's vector holds the term-frequency half of BM25 and a question's vector the idf half, so PostgreSQL (or any
index of sparse vectors) ranks by BM25 without knowing any statistics.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import sqrt
from zlib import crc32

from kyrochat.retrieval.languages import AUTO, resolve_language
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.tokens import tokenize
from kyrochat.retrieval.types import SparseVector

ENCODER_VERSION = 1
"""Stored with every vector: those of two versions are never compared, a new version means encoding anew."""

DIMENSIONS = 1_000_000_000
"""Dimensions of the vectors, the most that pgvector's sparsevec takes; terms are hashed into them."""

MAX_NONZEROS = 2_048
"""Pinecone takes no more in a sparse vector. A chunk of 200 words has about 100."""

K1 = 1.2
B = 0.75
USUAL_LENGTH = 100
"""Tokens of an average chunk. A constant ranks as well as the true average, and nothing has to be maintained."""

__all__ = [
    "DIMENSIONS",
    "ENCODER_VERSION",
    "MAX_NONZEROS",
    "chunk_tokens",
    "encode_chunk",
    "encode_query",
    "encode_tokens",
    "query_weights",
    "to_sparsevec_text",
    "to_vector",
    "tokenize",
]


def chunk_tokens(title: str, text: str, language: str = AUTO, heading: str | None = None) -> list[str]:
    """Return the terms by which a chunk is found: its document's title twice, its heading, its text.

    The heading counts only when the chunk does not show it itself.
    """
    language = resolve_language(language, text)  # once, or the title might be stemmed by other rules
    named = tokenize(title, language) * 2
    if heading and heading not in text:
        named += tokenize(heading, language)
    return named + tokenize(text, language)


def encode_chunk(title: str, text: str, language: str = AUTO, heading: str | None = None) -> SparseVector:
    """Return the document side of BM25 for a chunk."""
    return encode_tokens(chunk_tokens(title, text, language, heading))


def encode_tokens(tokens: Iterable[str]) -> SparseVector:
    """Return the document side of BM25 for the terms of a chunk, as `chunk_tokens` gives them."""
    frequencies = Counter(tokens)
    length_part = K1 * (1 - B + B * frequencies.total() / USUAL_LENGTH)
    weights = {count: count * (K1 + 1) / (count + length_part) for count in set(frequencies.values())}
    return to_vector({term: weights[count] for term, count in frequencies.items()})


def encode_query(text: str, lexicon: Lexicon, language: str = AUTO) -> SparseVector:
    """Return the query side of BM25: one idf per term, and nothing at all for a text without terms."""
    return to_vector(query_weights(text, lexicon, language))


def query_weights(text: str, lexicon: Lexicon, language: str = AUTO) -> dict[str, float]:
    """Return what each term of a question counts.

    A term that the lexicon's sample does not hold may be a typing error, so terms one edit away go in beside it. They
    share what one of them would count, the commoner ones with more of it: their idf alone favours the odd ones.
    """
    weights: dict[str, float] = {}
    for term, count in Counter(tokenize(text, language)).items():
        weights[term] = weights.get(term, 0.0) + count * lexicon.idf(term)
        if term not in lexicon:
            near = lexicon.neighbours(term)
            all_of_them = sum(lexicon.frequencies[each] for each in near)
            for each in near:
                share = sqrt(lexicon.frequencies[each] / all_of_them)
                weights[each] = weights.get(each, 0.0) + share * lexicon.idf(each)
    return weights


def to_sparsevec_text(vector: SparseVector) -> str:
    """Return the vector as PostgreSQL reads it: `{1:0.5,7:1.2}/1000000000`, indices from 1."""
    # Most terms of a chunk occur once, so they have the same weight: each is written out once.
    written = {value: f"{value:.6g}" for value in set(vector.values)}
    pairs = ",".join([f"{i}:{written[value]}" for i, value in zip(vector.indices, vector.values, strict=True)])
    return f"{{{pairs}}}/{DIMENSIONS}"


def to_vector(weights: Mapping[str, float]) -> SparseVector:
    """Return the vector of weighted terms."""
    by_index: dict[int, float] = {}
    for index, weight in zip(map(_index, weights), weights.values(), strict=True):
        by_index[index] = by_index.get(index, 0.0) + weight
    if len(by_index) > MAX_NONZEROS:
        heaviest = sorted(by_index, key=by_index.__getitem__, reverse=True)[:MAX_NONZEROS]
        by_index = {index: by_index[index] for index in heaviest}
    indices = tuple(sorted(by_index))
    return SparseVector(indices, tuple(map(by_index.__getitem__, indices)))


@lru_cache(maxsize=65_536)
def _index(term: str) -> int:
    return crc32(term.encode("utf-8", "surrogatepass")) % (DIMENSIONS - 1) + 1
