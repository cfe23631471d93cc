"""Rules for what clients send. All broken rules are told at once, not one a request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kyrochat.errors import InvalidInput, Issue

# Beyond these nothing of ours has happened, and some times have no form in UTC.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Rules:
    """Collects what is wrong with an input; `enforce` raises it."""

    issues: list[Issue] = field(default_factory=list)

    def add(self, name: str, message: str) -> None:
        """Note that the field breaks a rule."""
        self.issues.append(Issue((name,), message))

    def text(self, name: str, value: str, *, max_chars: int, min_chars: int = 0) -> str:
        """Return the text without white space around it; note when it is too short, too long or no text."""
        value = value.strip()
        if not min_chars <= len(value) <= max_chars:
            self.add(name, f"It has {len(value):,} characters; {_range(min_chars, max_chars)} are allowed.")
        if "\x00" in value:
            self.add(name, "It holds a NUL character, which no text has. Remove it.")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            self.add(name, "It holds half of a surrogate pair, which no text has. Remove it.")
        return value

    def number(self, name: str, value: float, *, least: float, most: float) -> None:
        """Note when the number is out of range, or not one."""
        if not least <= value <= most:
            self.add(name, f"It is {value:g}; {least:g} to {most:g} are allowed.")

    def texts(self, name: str, values: Sequence[str], *, most: int, max_chars: int) -> list[str]:
        """Return the texts as `text` does; note when there are too many."""
        if len(values) > most:
            self.add(name, f"There are {len(values)}; at most {most} are allowed.")
        return [self.text(name, value, max_chars=max_chars, min_chars=1) for value in values[:most]]

    def moment(self, name: str, value: datetime | None) -> datetime | None:
        """Return the time, in UTC when it says no zone; note when it is out of all reason."""
        if value is None:
            return None
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        if not EARLIEST <= value <= LATEST:
            self.add(name, f"It is a time between {EARLIEST.year} and {LATEST.year}.")
        return value

    def enforce(self) -> None:
        """Raise what was noted.

        Raises:
            InvalidInput: any rule is broken.
        """
        if self.issues:
            raise InvalidInput(self.issues)


def _range(least: int, most: int) -> str:
    return f"up to {most:,}" if least == 0 else f"{least:,} to {most:,}"
