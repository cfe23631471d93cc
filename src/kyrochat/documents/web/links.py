"""What a page of HTML says about other pages. It parses what strangers wrote, so it runs in the parsers' jail."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_LINKS = 1000
MAX_HREF_CHARS = 1500
_ROBOTS_NAMES = frozenset(["robots", "kyrochat"])
_FEED_CHARS = 1 << 16


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Links as they are written, in order, each once; `base` is what they are relative to, if not the page itself.

    `canonical` is the address that the page would rather have; `may_index` and `may_follow` are false when it asks
    robots not to keep it, or not to follow its links.
    """

    hrefs: tuple[str, ...] = ()
    base: str | None = None
    canonical: str | None = None
    may_index: bool = True
    may_follow: bool = True


def page_links(page: str) -> PageLinks:
    """Return what the page says. No tree is built, so depth cannot hurt."""
    from lxml import etree

    if not page.strip():
        return PageLinks()
    parser = etree.HTMLParser(target=_LinkReader(), huge_tree=True, remove_comments=True, remove_pis=True)
    for start in range(0, len(page), _FEED_CHARS):
        parser.feed(page[start : start + _FEED_CHARS])
    found: PageLinks = parser.close()
    return found


@dataclass(slots=True)
class _LinkReader:
    """What lxml calls while it reads."""

    hrefs: dict[str, None] = field(default_factory=dict)
    base: str | None = None
    canonical: str | None = None
    refused: set[str] = field(default_factory=set)

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        href = attributes.get("href", "").strip()
        if len(href) > MAX_HREF_CHARS:
            return
        match tag:
            case "a" | "area":
                if href and not href.startswith("#") and "nofollow" not in _words(attributes.get("rel", "")):
                    self._add(href)
            case "base":
                self.base = self.base or href or None
            case "link":
                if "canonical" in _words(attributes.get("rel", "")):
                    self.canonical = self.canonical or href or None
            case "meta":
                if attributes.get("name", "").strip().lower() in _ROBOTS_NAMES:
                    self.refused |= _words(attributes.get("content", "").replace(",", " "))
            case _:
                pass

    def _add(self, href: str) -> None:
        if len(self.hrefs) < MAX_LINKS:
            self.hrefs[href] = None

    def end(self, _tag: str) -> None:
        pass

    def data(self, _text: str) -> None:
        pass

    def close(self) -> PageLinks:
        return PageLinks(
            tuple(self.hrefs),
            self.base,
            self.canonical,
            may_index=not self.refused & {"noindex", "none"},
            may_follow=not self.refused & {"nofollow", "none"},
        )


def _words(text: str) -> set[str]:
    return set(text.lower().split())
