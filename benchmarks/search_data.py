"""Synthetic chunks and questions for the benchmarks of search, as like real text as their speed depends on.

Words follow the Zipf-Mandelbrot law without the commonest ones, which are stopwords: a chunk has about 90 different
terms of 110, the commonest occurs in one chunk of three, most in a handful. A question asks for words of one chunk.
"""

import random
from collections.abc import Iterator

VOCABULARY = 120_000
COMMONEST = 50
"""How far down the law begins: what lies above are stopwords."""

EXPONENT = 1.15
TOKENS = 120
REPEATED = 20
ASKED_TERMS = (3, 9)

_POWER = 1 - EXPONENT
_FIRST, _LAST = COMMONEST**_POWER, (VOCABULARY + COMMONEST) ** _POWER


class Texts:
    """Chunks and questions by number: the same number gives the same words in every run."""

    def __init__(self, seed: int = 5) -> None:
        self.seed = seed

    def chunk(self, number: int) -> list[int]:
        """Return the ranks of a chunk's words."""
        words = random.Random(self.seed * 1_000_003 + number)
        ranks = [_rank(words.random()) for _ in range(TOKENS - REPEATED)]
        # A text keeps to its subject: some of its words it says more than once.
        return ranks + words.choices(ranks, k=REPEATED)

    def question(self, number: int, chunks: int) -> list[int]:
        """Return the ranks of a question's words: some of one of the first `chunks` chunks, one that is anybody's."""
        words = random.Random(self.seed * 7_000_003 + number)
        asked = words.sample(self.chunk(words.randrange(chunks)), k=words.randrange(*ASKED_TERMS))
        return [*asked, _rank(words.random())]

    def chunks(self, count: int) -> Iterator[list[int]]:
        """Yield the first `count` chunks."""
        return (self.chunk(number) for number in range(count))


def _rank(share: float) -> int:
    return int((_FIRST + share * (_LAST - _FIRST)) ** (1 / _POWER) - COMMONEST)


def word(rank: int) -> str:
    """Return the word of a rank; it stays as it is when it is stemmed, and is no stopword."""
    letters = ""
    rank += 26 * 26 * 26
    while rank:
        rank, letter = divmod(rank, 26)
        letters += chr(ord("a") + letter)
    return letters + "q"
