"""Runs the legs of a search, each within its own time: one that is late or down is left out, and the rest goes on."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Generic, TypeVar

from kyrochat.errors import ProviderUnavailable
from kyrochat.retrieval.search_settings import Leg
from kyrochat.retrieval.trace import LegReport, LegStatus

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of a leg; `value` is None unless it is OK."""

    report: LegReport
    value: T | None = None

    def counting(self, candidates: int) -> "Outcome[T]":
        """Return it with the number of its candidates."""
        return replace(self, report=replace(self.report, candidates=candidates))


async def run(leg: Leg, work: Awaitable[T], *, budget_s: float, scheme: str | None = None) -> Outcome[T]:
    """Wait for a leg no longer than its budget. A provider's failure is its outcome; any other error is raised."""
    started = perf_counter()
    status, reason, value = LegStatus.OK, None, None
    try:
        async with asyncio.timeout(budget_s):
            value = await work
    except TimeoutError:
        status, reason = LegStatus.LATE, f"It took longer than {budget_s:g} s."
    except ProviderUnavailable as error:
        status, reason = LegStatus.FAILED, error.message
    if status is not LegStatus.OK:
        log.warning("The %s leg of a search was left out (%s)", leg.lower(), status)
    return Outcome(LegReport(leg, status, reason, milliseconds_since(started), scheme=scheme), value)


def off(leg: Leg, reason: str) -> LegReport:
    """Return the report of a leg that was not run."""
    return LegReport(leg, LegStatus.OFF, reason)


def milliseconds_since(started: float) -> float:
    """Return the time since `started`, a `perf_counter`."""
    return round((perf_counter() - started) * 1000, 3)
