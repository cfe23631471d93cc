"""Measures of a ranking against what people judged relevant. All are between 0 and 1, 1 is best."""

from collections.abc import Mapping, Sequence
from math import log2


def ndcg(ranking: Sequence[str], gains: Mapping[str, float], depth: int = 10) -> float:
    """Return the normalised discounted cumulative gain of the first `depth` ids; 0 if nothing is relevant.

    Gains below 0, which some judges give to rubbish, count as 0.
    """
    ideal = sum(max(gain, 0.0) / log2(i + 2) for i, gain in enumerate(sorted(gains.values(), reverse=True)[:depth]))
    found = sum(max(gains.get(item, 0.0), 0.0) / log2(i + 2) for i, item in enumerate(ranking[:depth]))
    return found / ideal if ideal > 0 else 0.0


def recall(ranking: Sequence[str], gains: Mapping[str, float], depth: int = 100) -> float:
    """Return the share of the relevant ids among the first `depth`; 0 if nothing is relevant."""
    relevant = {item for item, gain in gains.items() if gain > 0}
    return len(relevant.intersection(ranking[:depth])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], gains: Mapping[str, float], depth: int = 10) -> float:
    """Return 1 / the place of the first relevant id, counted from 1; 0 if none is among the first `depth`."""
    for place, item in enumerate(ranking[:depth], start=1):
        if gains.get(item, 0.0) > 0:
            return 1 / place
    return 0.0


def mean(values: Sequence[float]) -> float:
    """Return the average, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
