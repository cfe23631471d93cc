"""Pauses that differ, so that what stopped together, or began together, does not go on in step."""

from random import SystemRandom

_uniform = SystemRandom().uniform


def spread(pause_s: float, *, least: float = 0.5) -> float:
    """Return between `least` (a share) and the whole of a pause, in seconds, by chance."""
    return pause_s * _uniform(least, 1.0)
