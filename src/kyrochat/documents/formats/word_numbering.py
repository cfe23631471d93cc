"""The numbers that Word shows in front of paragraphs: they are computed, not stored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from docx.oxml.ns import qn

_MAX_LEVELS = 9
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


def _letter(number: int) -> str:
    # Word goes on with aa, bb, cc after z.
    turns, place = divmod(number - 1, 26)
    return chr(ord("a") + place) * (min(turns, 20) + 1)


def _roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        written += letters * (number // value)
        number %= value
    return written


_FORMATS: dict[str, Callable[[int], str]] = {
    "lowerLetter": _letter,
    "upperLetter": lambda number: _letter(number).upper(),
    "lowerRoman": lambda number: _roman(number % 5000),
    "upperRoman": lambda number: _roman(number % 5000).upper(),
    "decimalZero": lambda number: f"{number:02d}",
    "none": lambda _number: "",
}


@dataclass(frozen=True, slots=True)
class _Level:
    format: str
    template: str  # "%1.%2."
    start: int


@dataclass(slots=True)
class Numbering:
    """Counts while a document is read from its beginning; each list counts for itself."""

    lists: dict[str, str] = field(default_factory=dict)  # list -> its definition
    levels: dict[tuple[str, int], _Level] = field(default_factory=dict)
    restarts: dict[tuple[str, int], int] = field(default_factory=dict)  # where a list counts anew, once
    counters: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, numbering: Any) -> "Numbering":
        """Return the numbering of a document's `w:numbering` element; None: it has no lists."""
        found = cls()
        if numbering is None:
            return found
        for definition in numbering.iterchildren(qn("w:abstractNum")):
            identity = definition.get(qn("w:abstractNumId"), "")
            for level in definition.iterchildren(qn("w:lvl")):
                found.levels[identity, _number(level.get(qn("w:ilvl")))] = _Level(
                    _value(level, "w:numFmt") or "decimal",
                    _value(level, "w:lvlText") or "",
                    _number(_value(level, "w:start"), 1),
                )
        for entry in numbering.iterchildren(qn("w:num")):
            identity = entry.get(qn("w:numId"), "")
            found.lists[identity] = _value(entry, "w:abstractNumId") or ""
            for override in entry.iterchildren(qn("w:lvlOverride")):
                start = _value(override, "w:startOverride")
                if start is not None:
                    found.restarts[identity, _number(override.get(qn("w:ilvl")))] = _number(start, 1)
        return found

    def next(self, list_id: str, depth: int) -> str:
        """Count one paragraph and return its label, `3.1` or `(b)`; '-' for bullets, '' for a list that is none."""
        definition = self.lists.get(list_id)
        level = self.levels.get((definition or "", depth))
        if definition is None or level is None or not 0 <= depth < _MAX_LEVELS:
            return ""
        counters = self.counters.setdefault(definition, [0] * _MAX_LEVELS)
        restart = self.restarts.pop((list_id, depth), None)
        following = counters[depth] + 1 if counters[depth] else level.start
        counters[depth] = following if restart is None else restart
        counters[depth + 1 :] = [0] * (_MAX_LEVELS - depth - 1)
        if level.format == "bullet":
            return "-"
        label = level.template
        for place in range(depth + 1):
            of_place = self.levels.get((definition, place), level)
            count = counters[place] or of_place.start
            label = label.replace(f"%{place + 1}", _FORMATS.get(of_place.format, str)(max(count, 1)))
        return label.strip()


def _value(element: Any, child: str) -> str | None:
    found = element.find(qn(child))
    return None if found is None else found.get(qn("w:val"))


def _number(text: str | None, default: int = 0) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else default
