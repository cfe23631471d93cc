"""For tests of what must not take quadratic time: that would be minutes, so the bounds are generous."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Assert that the block takes no more processor time than that.

    Neither what other threads take counts, nor the collection of what other tests have left.
    """
    with no_collection():
        began = time.thread_time()
        yield
        took = time.thread_time() - began
    assert took < seconds


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: thousands of other tests' objects are looked at each time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
