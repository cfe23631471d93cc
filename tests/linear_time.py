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
    gc.disable()
    began = time.thread_time()
    try:
        yield
        took = time.thread_time() - began
    finally:
        gc.enable()
    assert took < seconds
