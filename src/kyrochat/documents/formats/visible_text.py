"""What a browser would show of a page, as simple Markdown."""

import re
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class VisibleText:
    """Simple Markdown of what a browser would show, and the page's title (empty if it has none)."""

    text: str
    title: str


def visible_text(page: str) -> VisibleText:
    """Return the text of a page outside scripts, styles, navigation and footers; no tree, so depth cannot hurt."""
    from lxml import etree

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
