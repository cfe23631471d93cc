"""A sliding window made of two counters, and what follows from them.

The window before counts in proportion to how much of it the last `period_s` seconds still cover. Two numbers a subject
stand for a list of every request; the error is the unevenness inside the window before.
"""

from dataclasses import dataclass
from math import ceil, floor

from kyrochat.rates.limits import Limit


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted: in the window before, which still covers `previous_left_s`, and in the one that ends in
    `current_left_s`.
    """

    previous: int = 0
    previous_left_s: float = 0.0
    current: int = 0
    current_left_s: float = 0.0


def used(limit: Limit, window: Window) -> int:
    """Return how much of the limit is used up."""
    return floor(window.previous * window.previous_left_s / limit.period_s) + window.current


def wait_s(limit: Limit, window: Window, cost: int) -> int:
    """Return in how many whole seconds `cost` will fit, when nothing else is charged meanwhile; at least one.

    `cost` is at most `limit.amount`.
    """
    free = limit.amount - cost
    if free < window.current:
        # Not before the current window has become the one before, and then has faded far enough.
        left_s = window.current_left_s + limit.period_s
        return _seconds(left_s - _covered_s(limit.period_s, window.current, free))
    return _seconds(window.previous_left_s - _covered_s(limit.period_s, window.previous, free - window.current))


def _covered_s(period_s: int, count: int, free: int) -> float:
    """Return how much of a window with `count` may still be covered for it to weigh at most `free`."""
    # It weighs the whole number below, so anything less than one more than `free` will do.
    return period_s * min(1.0, (free + 1) / count) if count else period_s


def _seconds(seconds: float) -> int:
    # Just at the boundary the weight is one too much still.
    return max(1, ceil(seconds + 0.001))
