"""What counts: in this process' memory, or in Redis for all processes."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from kyrochat.rates.limits import Limit
from kyrochat.rates.window import Window, used

# 54 MB when full; only a flood from that many addresses gets there.
MAX_SUBJECTS = 200_000


class CountersAway(Exception):
    """The counters do not answer; nothing is known to have been counted."""


class Counters(Protocol):
    """Sliding windows by key. A key belongs to one limit."""

    async def take(self, key: str, limit: Limit, cost: int) -> bool:
        """Count `cost` if the limit has room for all of it, and say whether it had.

        Raises:
            CountersAway: nobody can say.
        """

    async def window(self, key: str, limit: Limit) -> Window:
        """Return what is counted.

        Raises:
            CountersAway: nobody can say.
        """

    async def forget(self, key: str, limit: Limit) -> None:
        """Count from nothing again.

        Raises:
            CountersAway: it may still be counted.
        """


@dataclass(slots=True)
class _Entry:
    ends_at: float
    previous: int = 0
    current: int = 0


@dataclass(slots=True, eq=False)
class MemoryCounters:
    """Counts in this process. Beyond `max_subjects` those that were asked for longest ago are forgotten.

    Nothing here waits and nothing takes longer when there are more subjects, so a flood slows down nobody.
    """

    max_subjects: int = MAX_SUBJECTS
    clock: Callable[[], float] = time.monotonic
    # By limit, since entries of one limit are over in the order in which they were last asked for; the oldest first.
    _entries: "dict[Limit, OrderedDict[str, _Entry]]" = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    async def take(self, key: str, limit: Limit, cost: int) -> bool:
        """Count."""
        now = self.clock()
        entries = self._entries.setdefault(limit, OrderedDict())
        self._drop_over(entries, now - limit.period_s)
        entry = entries.get(key)
        if entry is None:
            if self._count >= self.max_subjects:
                self._drop_one()
            entry = entries[key] = _Entry(now + limit.period_s)
            self._count += 1
        entries.move_to_end(key)
        has_room = used(limit, _window(entry, limit, now)) + cost <= limit.amount
        if has_room:
            entry.current += cost
        return has_room

    async def window(self, key: str, limit: Limit) -> Window:
        """Look."""
        entries = self._entries.get(limit)
        entry = entries.get(key) if entries else None
        return Window() if entry is None else _window(entry, limit, self.clock())

    async def forget(self, key: str, limit: Limit) -> None:
        """Forget."""
        entries = self._entries.get(limit)
        if entries and entries.pop(key, None) is not None:
            self._count -= 1

    def _drop_over(self, entries: "OrderedDict[str, _Entry]", over_since: float) -> None:
        # Two at each charge, which makes at most one: so what is over goes away faster than anything comes.
        for _ in range(2):
            oldest = next(iter(entries.values()), None)
            if oldest is None or oldest.ends_at > over_since:
                return
            entries.popitem(last=False)
            self._count -= 1

    def _drop_one(self) -> None:
        # Of the limit that has most: a flood of addresses pushes out addresses, and no user's counters.
        max(self._entries.values(), key=len).popitem(last=False)
        self._count -= 1


def _window(entry: _Entry, limit: Limit, now: float) -> Window:
    """Return what the entry counts now; a window that has ended becomes the one before."""
    late_s = now - entry.ends_at
    if 0 <= late_s < limit.period_s:
        entry.previous, entry.current, entry.ends_at = entry.current, 0, entry.ends_at + limit.period_s
    elif late_s >= limit.period_s:
        entry.previous, entry.current, entry.ends_at = 0, 0, now + limit.period_s
    left_s = entry.ends_at - now
    return Window(entry.previous, left_s if entry.previous else 0.0, entry.current, left_s)
