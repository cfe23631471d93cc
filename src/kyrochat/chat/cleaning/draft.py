"""Where cleaning stands in a text: what came and is still to be looked at, and the end of what was shown."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kyrochat.chat.cleaning.fences import Lines
from kyrochat.chat.cleaning.sources import Sources

# Marks of lists and quotations, and citations, which may be taken out later.
_MARGIN = " \t>-*+0123456789.)[],"
_BEHIND_ADDRESS = ".,;:!?)'\"*_~]}>|`"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the text as it leaves the server; code is to be left alone by whoever looks for anything in it."""

    text: str
    is_code: bool = False


@dataclass(slots=True)
class Draft:
    """What the parts of cleaning share. From `place` on, `text` is still to be looked at; `is_all` once it is whole."""

    sources: Sources
    images: int = 0
    tags: int = 0
    links: int = 0
    text: str = ""
    place: int = 0
    is_all: bool = False
    lines: Lines = field(default_factory=Lines)
    # Nothing of the line has been shown but its prefix; and a label began there, which a colon would make a definition.
    at_margin: bool = True
    may_define: bool = False
    # Something was taken out right here; a bracket is no part of an image although a `!` stands before it.
    at_seam: bool = False
    is_marker: bool = False
    # An address was the last thing shown, perhaps with punctuation behind it.
    behind_address: bool = False
    tail: str = ""

    def take(self, piece: str) -> None:
        """Add what comes next."""
        self.text = self.text[self.place :] + piece
        self.place = 0

    def shown(self, text: str, consumed: int, *, is_code: bool = False) -> list[Piece]:
        """Show `text` for the next `consumed` characters."""
        self.place += consumed
        return [Piece(text, is_code)]

    def address_shown(self, address: str, consumed: int) -> Iterator[Piece]:
        """Show an address as it is."""
        self.place += consumed
        yield Piece(address)
        self.behind_address = True

    def removed(self, consumed: int, instead: str = "") -> list[Piece]:
        """Take something out. At the margin that may change what the line is."""
        if self.at_margin:
            self.lines.doubt()
        self.at_seam = True
        self.place += consumed
        return [Piece(instead)] if instead and not self.tail[-1:].isspace() else []

    def written(self, piece: Piece) -> Piece:
        """Note that a piece is shown, and return it as it shall be."""
        text = self._apart(piece.text) if self.behind_address else piece.text
        self.tail = (self.tail + text)[-12:]
        self.at_margin = self.at_margin and not text.strip(_MARGIN)
        return Piece(text, piece.is_code)

    def _apart(self, text: str) -> str:
        """Keep an address from growing: some readers end it at white space only."""
        rest = text.lstrip(_BEHIND_ADDRESS)
        self.behind_address = not rest
        if rest and not rest[0].isspace():
            return f"{text[: len(text) - len(rest)]} {rest}"
        return text
