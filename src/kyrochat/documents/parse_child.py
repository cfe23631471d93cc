"""The parsers, one per format, and the one-shot process that runs them in a jail.

`python -I -m kyrochat.documents.parse_child FORMAT LIMITS` reads a file on stdin and writes one JSON
object on stdout. Limits come first, imports that parse come later: a bomb only ever kills the child.
"""

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from types import FrameType

from kyrochat.documents.decoding import decode, normalise
from kyrochat.documents.media_types import MediaType
from kyrochat.errors import UnreadableDocument

# Trafilatura needs about 3 s of CPU per MiB, 1.5 s with `fast`; larger pages are read as visible text.
FULL_HTML_CHARS = 1_000_000
FAST_HTML_CHARS = 3_000_000
SHORT_PAGE_LETTERS = 250  # below, trafilatura takes headings and odd lines for decoration
MIN_SHARE_OF_VISIBLE = 0.3  # with fewer letters, the page's own text was taken for decoration

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000

_HIDDEN = frozenset(
    ["script", "style", "noscript", "template", "svg", "iframe", "select", "nav", "footer", "button", "head"]
)
_BLOCKS = frozenset([
    "address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main",
    "ol", "p", "pre", "section", "summary", "table", "tr", "ul",
])  # fmt: skip
_CELLS = frozenset(["td", "th"])
_SPACED = frozenset(["h1", "h2", "h3", "h4", "h5", "h6", "p", "pre", "table", "ul", "ol"])
_OPENING = {f"h{level}": "\n\n" + "#" * level + " " for level in range(1, 7)} | {
    "p": "\n\n",
    "li": "\n- ",
    "td": " | ",
    "th": " | ",
}
_BARE_MARKS = frozenset(["-", "|", "#", "##", "###", "####", "#####", "######"])
_BLANKS = re.compile(r"[ \t\n\xa0]+")
_BLANK_LINES = re.compile("\n{3,}")
_FEED_CHARS = 1 << 16

_DATA_URI = re.compile(r"data:[\w/+.-]{1,60};base64,[A-Za-z0-9+/=]{64,}")
_DOCTYPE_WITH_ENTITIES = re.compile(r"<!doctype[^>\[]{0,500}\[.*?\]\s{0,9}>", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Extracted:
    """A document's text, normalised; `markdown` says whether its marks mean something."""

    text: str
    markdown: bool
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is read. Only a parser that is linear in its input may run outside the jail."""

    parse: Callable[[bytes], Extracted]
    needs_jail: bool = True


@dataclass(frozen=True, slots=True)
class JailLimits:
    """What the child may use; the wall clock is the parent's business."""

    memory_bytes: int
    cpu_s: int
    max_chars: int


class _OutOfTime(BaseException):
    """Half of the CPU time is gone. No `Exception`, so that no library swallows it."""


def parse_text(data: bytes) -> Extracted:
    """Read plain text."""
    return Extracted(normalise(decode(data)), markdown=False)


def parse_markdown(data: bytes) -> Extracted:
    """Read Markdown as it stands; a first-level heading at its start is its title."""
    text = normalise(decode(data))
    first = text.lstrip().partition("\n")[0]
    title = first.removeprefix("# ").strip() if first.startswith("# ") else ""
    return Extracted(text, markdown=True, title=title or None)


def parse_html(data: bytes) -> Extracted:
    """Read a page as Markdown: headings, lists, tables and the links' text stay, navigation goes."""
    page = normalise(decode(data, html=True))
    page = _DATA_URI.sub("", page)
    page = _DOCTYPE_WITH_ENTITIES.sub("", page, count=1)
    visible = visible_text(page)
    text, letters = visible.text, _letters(visible.text)
    if letters >= SHORT_PAGE_LETTERS:
        markdown = _main_content(page)
        text = markdown if _letters(markdown) >= MIN_SHARE_OF_VISIBLE * letters else text
    return Extracted(normalise(text), markdown=True, title=normalise(visible.title) or None)


def _letters(text: str) -> int:
    # Not words: many languages write no blanks between them.
    return sum(map(len, text.split()))


def _main_content(page: str) -> str:
    if len(page) > FAST_HTML_CHARS:
        return ""
    from trafilatura import extract

    try:
        found = extract(
            page,
            output_format="markdown",
            include_comments=False,
            include_formatting=True,
            include_tables=True,
            include_links=False,
            fast=len(page) > FULL_HTML_CHARS,
        )
    except (_OutOfTime, RecursionError):  # the visible text still stands
        return ""
    return found or ""


@dataclass(frozen=True, slots=True)
class VisibleText:
    """Simple Markdown of what a browser would show, and the page's title (empty if it has none)."""

    text: str
    title: str


def visible_text(page: str) -> VisibleText:
    """Return the text of a page outside scripts, styles, navigation and footers; no tree, so depth cannot hurt."""
    from lxml import etree  # type: ignore[import-untyped]

    if not page.strip():
        return VisibleText("", "")
    parser = etree.HTMLParser(target=_PageReader(), huge_tree=True, remove_comments=True, remove_pis=True)
    for start in range(0, len(page), _FEED_CHARS):
        parser.feed(page[start : start + _FEED_CHARS])
    result: VisibleText = parser.close()
    return result


@dataclass(slots=True)
class _PageReader:
    """What lxml calls while it reads. Open hidden elements are counted, since a stack could be made deep."""

    pieces: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    hidden: int = 0
    preformatted: int = 0
    in_title: bool = False

    def start(self, tag: str, _attributes: object) -> None:
        if tag == "body":
            self.hidden = 0  # an unclosed <head> must not hide the page
        self.hidden += tag in _HIDDEN
        self.preformatted += tag == "pre"
        self.in_title = tag == "title" and not self.title
        if tag in _BLOCKS or tag in _CELLS:
            self._write(_OPENING.get(tag, "\n"))

    def end(self, tag: str) -> None:
        self.in_title = False
        self.hidden = max(0, self.hidden - (tag in _HIDDEN))
        self.preformatted = max(0, self.preformatted - (tag == "pre"))
        if tag in _BLOCKS and tag != "br":
            self._write("\n\n" if tag in _SPACED else "\n")

    def data(self, text: str) -> None:
        if self.in_title:
            self.title.append(text)
        else:
            self._write(text if self.preformatted else _BLANKS.sub(" ", text))

    def _write(self, text: str) -> None:
        if self.hidden:
            return
        if not self.preformatted and (not self.pieces or self.pieces[-1].endswith("\n")):
            text = text.lstrip(" ")
        if text:
            self.pieces.append(text)

    def close(self) -> VisibleText:
        lines = (line.rstrip(" ").removeprefix("| ") for line in "".join(self.pieces).split("\n"))
        lines = ("" if line in _BARE_MARKS else line for line in lines)
        text = _BLANK_LINES.sub("\n\n", "\n".join(lines))
        return VisibleText(text.strip("\n"), " ".join("".join(self.title).split()))


FORMATS: dict[MediaType, Format] = {
    MediaType.TEXT: Format(parse_text, needs_jail=False),
    MediaType.MARKDOWN: Format(parse_markdown, needs_jail=False),
    MediaType.HTML: Format(parse_html),
}


def enter_jail(limits: JailLimits) -> None:
    """Give up memory, CPU, files, privileges and, where the system permits it, the network."""
    if sys.platform == "linux":
        _enter_linux_jail()
    with contextlib.suppress(ImportError):  # Windows has no such limits: there the wall clock is all
        import resource

        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_AS, limits.memory_bytes)
        _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)  # SIGXCPU first: it tells the reason
        _lower(resource.RLIMIT_FSIZE, 0)
        _lower(resource.RLIMIT_NOFILE, 64)
        _lower(resource.RLIMIT_NPROC, 0)  # root is not bound by it
        signal.signal(signal.SIGVTALRM, _out_of_time)
        signal.setitimer(signal.ITIMER_VIRTUAL, limits.cpu_s / 2)


def _lower(which: int, soft: int, hard: int | None = None) -> None:
    import resource

    _, ceiling = resource.getrlimit(which)
    pair = (soft, soft if hard is None else hard)
    if ceiling != resource.RLIM_INFINITY:
        pair = (min(pair[0], ceiling), min(pair[1], ceiling))
    with contextlib.suppress(ValueError, OSError):  # macOS refuses some of them; the others still hold
        resource.setrlimit(which, pair)


def _out_of_time(_signum: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


def _enter_linux_jail() -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a killed server leaves nothing running
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Both may be refused, in containers above all. A user namespace takes root's power over files
    # away, and this process has still to import its parsers: so root only tries the first.
    if libc.unshare(_CLONE_NEWNET) and os.geteuid() != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def answer(media_type: MediaType, data: bytes, limits: JailLimits) -> dict[str, object]:
    """Return what goes back: the fields of `Extracted`, or `unreadable` (a sentence), or `failed` (a type's name)."""
    try:
        extracted = FORMATS[media_type].parse(data)
    except UnreadableDocument as error:
        return {"unreadable": error.message}
    except (Exception, _OutOfTime) as error:
        return {"failed": type(error).__name__.lstrip("_")}
    if len(extracted.text) > limits.max_chars:
        return {"too_long": len(extracted.text)}
    return asdict(extracted)


def main(format_name: str, limits_json: str) -> None:
    """Read stdin, parse in the jail, write stdout, and be gone without tidying up."""
    limits = JailLimits(**json.loads(limits_json))
    enter_jail(limits)
    import logging

    logging.disable(logging.CRITICAL)  # libraries put pieces of the document into their messages
    reply = json.dumps(answer(MediaType(format_name), sys.stdin.buffer.read(), limits), ensure_ascii=False)
    sys.stdout.buffer.write(reply.encode("utf-8", errors="replace"))
    sys.stdout.buffer.flush()
    os._exit(0)  # freeing a tree of a million nodes one by one takes longer than reading it


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
