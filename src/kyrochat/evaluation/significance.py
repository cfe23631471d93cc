"""Whether a difference between two runs may be chance."""

import random
from collections.abc import Sequence
from itertools import product
from operator import getitem

# Up to here all sign patterns are tried (4,096 at most); beyond, as many random ones as follow.
EXACT_PAIRS = 12
SAMPLES = 10_000
# The same runs give the same figure every time.
SEED = 20_261_126
_TOLERANCE = 1e-12
_BITS = 8


def p_value(differences: Sequence[float]) -> float:
    """Return how often a mean at least this far from 0 comes up when each difference's sign is tossed.

    This is the paired randomization test, two-sided: it assumes nothing of how the figures are spread. Questions
    without a difference say nothing; with no difference at all the answer is 1.
    """
    told = [difference for difference in differences if difference]
    if not told:
        return 1.0
    seen = abs(sum(told)) - _TOLERANCE
    if len(told) <= EXACT_PAIRS:
        sums = [abs(sum(sign * each for sign, each in zip(signs, told, strict=True))) for signs in _patterns(len(told))]
        return sum(total >= seen for total in sums) / len(sums)
    toss = random.Random(SEED)  # noqa: S311 (statistics that must come out the same again)
    # Eight at a time: each sum that their signs can give is known before, and a byte of chance chooses one.
    sums_of = [_sums(told[start : start + _BITS]) for start in range(0, len(told), _BITS)]
    extreme = 0
    for _ in range(SAMPLES):
        signs = toss.randbytes(len(sums_of))
        extreme += abs(sum(map(getitem, sums_of, signs))) >= seen
    # The pattern that was seen is one of them: no p-value is 0.
    return (extreme + 1) / (SAMPLES + 1)


def _sums(differences: Sequence[float]) -> list[float]:
    """Return the sum under each pattern of signs, 256 of them however few differences there are."""
    return [
        sum(each if bits >> place & 1 else -each for place, each in enumerate(differences)) for bits in range(2**_BITS)
    ]


def _patterns(count: int) -> list[tuple[int, ...]]:
    return list(product((1, -1), repeat=count))
