"""Which addresses an answer may name: those that were there before the model wrote."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

STARTS = ("http://", "https://", "ftp://", "www.", "mailto:")
"""How addresses begin that readers of Markdown make links of without being asked."""

ADDRESS_START = re.compile(r"(?:https?|ftp)://|www\.|mailto:", re.IGNORECASE)
# What would begin something else in Markdown, or end the address for some readers and not for others.
_UNSAFE = re.compile(r"[\s<>\[\]\\`|\"{}^\x00-\x1f\x7f]")
_GOES_ON = re.compile(r"[\w%=&-]")


@dataclass(slots=True)
class Sources:
    """The texts whose addresses may be repeated: passages, what the bot's owner and the user wrote, results of tools.

    An address that a model makes up may carry what it has read to whoever owns the host, with the click of a user or,
    where a client looks at links ahead of it, without.
    """

    _texts: list[str] = field(default_factory=list)

    def add(self, texts: Iterable[str]) -> None:
        """Let the addresses in these texts be repeated, too."""
        self._texts += texts

    def hold(self, address: str) -> bool:
        """Say whether the address is in one of the texts: whole, or up to a place where a part of it ends."""
        scheme = ADDRESS_START.match(address)
        if not scheme or scheme.end() == len(address) or _UNSAFE.search(address):
            return False
        return any(self._is_in(text, address) for text in self._texts)

    def _is_in(self, text: str, address: str) -> bool:
        place = text.find(address)
        while place >= 0:
            if not _GOES_ON.match(text, place + len(address)):
                return True
            place = text.find(address, place + 1)
        return False


def is_word(sign: str) -> bool:
    """Say whether an address cannot begin behind this sign; in scripts without spaces it can."""
    return sign.isascii() and sign.isalnum()


def may_begin_address(tail: str) -> bool:
    """Say whether a text that ends so would begin an address with what comes next, if nothing stood between."""
    tail = tail.lower()
    return any(
        tail.endswith(start[:length]) and not is_word(tail[:-length][-1:])
        for start in STARTS
        for length in range(1, len(start))
    )


def begins_address(tail: str, following: str) -> bool | None:
    """Say whether the two texts, put together, begin an address over their seam; None while too little follows."""
    tail, following = tail.lower(), following.lower()
    is_open = False
    for start in STARTS:
        for length in range(1, len(start)):
            if not tail.endswith(start[:length]) or is_word(tail[:-length][-1:]):
                continue
            if following.startswith(start[length:]):
                return True
            is_open = is_open or start[length:].startswith(following)
        if tail.endswith(start) and not is_word(tail[: -len(start)][-1:]):
            if following[:1].isalnum():
                return True
            is_open = is_open or not following
    return None if is_open else False
