"""Which terms of a question are rare enough to look up the chunks that hold them, and when that was not enough."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from kyrochat.retrieval.lexicon import Lexicon

BUDGET = 0.1
"""Of a bot's chunks, how many may be read for a question. Measured: with 0.1 all but one in a thousand of the ten best
are among them, and with 0.05 all but one in a hundred."""

COMMON_TERMS_WEIGH = 1.3
"""Times their idf, what all common terms together bring a chunk that has some of them twice."""


def rare_terms(weights: Mapping[str, float], lexicon: Lexicon) -> set[str]:
    """Return the question's rarest terms, as many as occur in `BUDGET` of the chunks together; perhaps none."""
    left, rare = BUDGET * lexicon.sample_count, set[str]()
    for term in sorted(weights, key=lambda term: lexicon.frequencies.get(term, 0)):
        left -= lexicon.frequencies.get(term, 0)
        if left < 0:
            break
        rare.add(term)
    return rare


def is_enough(hits: Sequence[tuple[UUID, float]], weights: Mapping[str, float], rare: set[str], wanted: int) -> bool:
    """Say whether the best `wanted` hits among the chunks with rare terms are the best of all.

    A chunk without a rare term scores what the other terms bring it. Where that may be more than the last of the best
    has, the others must be read after all.
    """
    others = COMMON_TERMS_WEIGH * sum(weight for term, weight in weights.items() if term not in rare)
    return others == 0 or (len(hits) >= wanted and hits[wanted - 1][1] >= others)
