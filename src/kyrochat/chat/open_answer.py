"""An answer that this process writes: what of it is committed, what is on its way, and what waits."""

import asyncio
import time
from dataclasses import dataclass, field
from uuid import UUID

from kyrochat.chat.events import AnswerEvent, LogEntry, TextDelta
from kyrochat.metrics import FIRST_WORDS


class AnswerTaken(Exception):
    """Somebody else has ended this answer; nothing more can be written to it."""


@dataclass(slots=True, eq=False)
class OpenAnswer:
    """An answer that this process writes."""

    message_id: UUID
    workspace_id: UUID
    token: UUID
    committed: list[LogEntry] = field(default_factory=list)
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    is_unstorable: bool = False
    has_words: bool = False
    _opened_at: float = field(default_factory=time.monotonic)
    _pending: list[AnswerEvent] = field(default_factory=list)
    # What was sent in a transaction whose fate may be unknown: sent again as it was, until it is known.
    _sent: list[LogEntry] = field(default_factory=list)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._idle.set()

    @property
    def has_queued(self) -> bool:
        """Whether events wait for a write."""
        return not self._idle.is_set()

    def add(self, event: AnswerEvent) -> None:
        """Queue an event; text that follows text becomes one event."""
        last = self._pending[-1] if self._pending else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            self._pending[-1] = TextDelta(last.text + event.text)
        else:
            self._pending.append(event)
        self._idle.clear()

    def to_send(self) -> list[LogEntry]:
        """Return the entries of the next write: those of a failed one first, and only those."""
        if not self._sent:
            first = len(self.committed) + 1
            self._sent = [LogEntry(first + place, event) for place, event in enumerate(self._pending)]
            self._pending = []
        return self._sent

    def stored(self) -> None:
        """Note that the entries of the last write are committed."""
        if not self.has_words and any(isinstance(entry.event, TextDelta) for entry in self._sent):
            self.has_words = True
            FIRST_WORDS.observe(time.monotonic() - self._opened_at)
        self.committed += self._sent
        self._sent = []
        if not self._pending:
            self._idle.set()

    def drop_queued(self) -> None:
        """Forget what was not stored: it never will be."""
        self._sent, self._pending = [], []
        self._idle.set()

    def give_up(self) -> None:
        """Note that the answer is not ours any more."""
        self.taken.set()
        self.drop_queued()

    def refuse(self) -> None:
        """Note that its events cannot be stored; the answer is still ours to end."""
        self.is_unstorable = True
        self.drop_queued()

    async def written(self) -> None:
        """Wait until everything queued is committed.

        Raises:
            AnswerTaken: it will never be.
        """
        await self._idle.wait()
        if self.taken.is_set():
            raise AnswerTaken
