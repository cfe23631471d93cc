"""Images, links and addresses: those that a model made up are taken out."""

import re
from collections.abc import Iterable
from html import unescape

from kyrochat.chat.cleaning.draft import Draft, Piece
from kyrochat.chat.cleaning.markup import UNDECIDED, Undecided, read_label, read_target
from kyrochat.chat.cleaning.sources import ADDRESS_START, is_word

BACKSLASH = "\\"
REMOVED_LINK = "(link removed)"
MAX_ADDRESS_CHARS = 2_000

_SPECIAL = re.compile(rf"[\\`~<&\[\](!:\n]|{ADDRESS_START.pattern}", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<]*")
_MAY_START_ADDRESS = re.compile(
    r"(?<![a-z0-9])(?:h(?:t(?:t(?:p(?:s?(?::/?)?)?)?)?)?|f(?:t(?:p(?::/?)?)?)?|w{1,3}|m(?:a(?:i(?:l(?:to?)?)?)?)?)\Z",
    re.IGNORECASE,
)
_ADDRESS_CUT = re.compile(r"[()\[\]{}>\"'|*,;`\\]|[^\x00-\x7f]")
_ADDRESS_END = re.compile(r"[.,;:!?)'\"*_~\]}>|`]+\Z")
_LOOKS_LIKE_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/#?.&%\\]|.*[/.&%@]")


def next_special(draft: Draft) -> tuple[int, str | None]:
    """Return where plain text ends, and what ends it; None for an address that may begin there."""
    place = draft.place
    # Behind an address there will be a space.
    tail = " " if draft.behind_address else draft.tail
    while found := _SPECIAL.search(draft.text, place):
        if found.group() == ":" and (held := _scheme_before(draft, found.start())):
            return found.start() - held, None
        before = draft.text[found.start() - 1] if found.start() > draft.place else tail[-1:]
        if len(found.group()) == 1 or not is_word(before):
            return found.start(), found.group()
        place = found.start() + 1
    if draft.is_all:
        return len(draft.text), ""
    ending = (tail + draft.text[draft.place :])[-10:]
    found = _MAY_START_ADDRESS.search(ending)
    held = len(ending) - found.start() if found else 0
    return len(draft.text) - (held if held <= len(draft.text) - draft.place else 0), None


def _scheme_before(draft: Draft, colon: int) -> int:
    """Return the length of the scheme that ends at the colon, if what follows may still make an address of it."""
    following = draft.text[colon + 1 : colon + 3]
    if draft.is_all or len(following) == 2 or not "//".startswith(following):
        return 0
    before = draft.text[max(draft.place, colon - 6) : colon].lower()
    return next((len(scheme) for scheme in ("https", "http", "ftp") if before.endswith(scheme)), 0)


def exclamation(draft: Draft) -> list[Piece] | Undecided:
    """Read an image, of which its label is left."""
    start = draft.place + 1
    if start == len(draft.text) and not draft.is_all:
        return UNDECIDED
    if draft.text[start : start + 1] != "[":
        return draft.shown("!", 1)
    end = read_label(draft.text, start, is_all=draft.is_all)
    if end is UNDECIDED:
        return UNDECIDED
    if end is None:
        return draft.shown("!\\[", 2)
    if end == len(draft.text) and not draft.is_all:
        return UNDECIDED
    label, following = draft.text[start + 1 : end - 1], draft.text[end : end + 1]
    if following == "(":
        target = read_target(draft.text, end, is_all=draft.is_all)
        if target is UNDECIDED:
            return UNDECIDED
        end = target[0] if target else end
    elif following == "[":
        second = read_label(draft.text, end, is_all=draft.is_all)
        if second is UNDECIDED:
            return UNDECIDED
        end = second or end
    elif re.fullmatch(r"[\d,\s]+", label):
        draft.is_marker = True  # of a citation, behind a sentence that ends so
        return draft.shown("!", 1)
    draft.images += 1
    # What it shows is text like any other. It is shorter than the image was, so this comes to an end.
    draft.text = label + draft.text[end:]
    draft.place = 0
    return draft.removed(0)


def opening_bracket(draft: Draft) -> list[Piece] | Undecided:
    """Read the start of a label, or of a citation, which may be taken out later."""
    following = draft.text[draft.place + 1 : draft.place + 2]
    if not following and not draft.is_all:
        return UNDECIDED
    is_citation = following.isdigit()
    if is_citation and draft.at_margin:
        draft.lines.doubt()
    is_image = draft.tail.endswith("!") and not draft.tail.endswith("\\!") and not draft.is_marker
    draft.is_marker = False
    draft.may_define = draft.at_margin or (is_citation and draft.may_define)
    return draft.shown("\\[" if is_image else "[", 1)


def closing_bracket(draft: Draft) -> Iterable[Piece] | Undecided:
    """Read the end of a label, and where it leads."""
    start = draft.place + 1
    if start == len(draft.text) and not draft.is_all:
        return UNDECIDED
    if draft.text[start : start + 1] != "(":
        return draft.shown("]", 1)
    target = read_target(draft.text, start, is_all=draft.is_all)
    if target is UNDECIDED:
        return UNDECIDED
    if target is not None:
        end, address = target
        if draft.sources.hold(address):
            return draft.address_shown(f"]({address})", end - draft.place)
        if _LOOKS_LIKE_ADDRESS.match(unescape(address)):
            draft.links += 1
            draft.place = end
            return [Piece("]")]
    return draft.shown("]\\(", 2)


def address_at(draft: Draft) -> Iterable[Piece] | Undecided:
    """Read an address that stands for itself."""
    found = _ADDRESS.match(draft.text, draft.place, draft.place + MAX_ADDRESS_CHARS)
    run = found.group() if found else ""
    if draft.place + len(run) == len(draft.text) and len(run) < MAX_ADDRESS_CHARS and not draft.is_all:
        return UNDECIDED
    whole = _ADDRESS_END.sub("", run)
    if len(run) < MAX_ADDRESS_CHARS and draft.sources.hold(whole):
        return draft.address_shown(whole, len(whole))
    cut = _ADDRESS_CUT.search(run)
    part = _ADDRESS_END.sub("", run[: cut.start()] if cut else run)
    if cut and draft.sources.hold(part):
        return draft.shown(f"{' ' if draft.tail.endswith(BACKSLASH) else ''}<{part}>", len(part))
    start = ADDRESS_START.match(run)
    if start and len(part) <= start.end():
        return draft.shown(start.group(), start.end())
    draft.links += 1
    return draft.shown(REMOVED_LINK, len(part))
