"""How long things take, told apart from what else a machine does meanwhile."""

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Assert that the block takes no more processor time than that.

    For what must not take quadratic time: that would be minutes, so the bounds are generous. Neither what other
    threads take counts, nor the collection of what other tests have left.
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


async def assert_within(seconds: float, measured: Callable[[], Awaitable[float]], *, tries: int = 5) -> None:
    """Assert that something which takes `measured()` seconds by the clock can be done in less than `seconds`.

    Other work of the machine adds to what one try takes and never takes away from it, so the fastest one counts.
    """
    took_s: list[float] = []
    with no_collection():
        while len(took_s) < tries:
            took_s.append(await measured())
            if took_s[-1] < seconds:
                return
    raise AssertionError(f"Of {tries} tries each took longer than {seconds} s: {took_s}")
