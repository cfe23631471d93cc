"""Which links of a page a crawl follows: those to pages of the same site."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from kyrochat.documents.web.links import PageLinks
from kyrochat.outbound.address import DEFAULT_PORTS, BadAddress, WebAddress

# What pages are made of, and what holds no text. Formats that can be read, such as PDF, are not among them.
_NO_PAGES = frozenset([
    ".css", ".js", ".mjs", ".map", ".json", ".xml", ".rss", ".atom", ".ico", ".png", ".jpg", ".jpeg", ".gif", ".webp",
    ".avif", ".svg", ".bmp", ".tif", ".tiff", ".mp3", ".mp4", ".m4a", ".m4v", ".ogg", ".wav", ".webm", ".mov", ".avi",
    ".woff", ".woff2", ".ttf", ".otf", ".eot", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".exe",
    ".msi", ".dmg", ".pkg", ".deb", ".rpm", ".apk", ".iso", ".bin", ".wasm",
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """The site of a crawl: the host of its first page, after redirects."""

    start: WebAddress

    def holds(self, address: WebAddress) -> bool:
        """Say whether the address is of this site, by whichever of http and https."""
        return address.host == self.start.host and _port(address) == _port(self.start)

    def place(self, reference: str, page: WebAddress) -> WebAddress | None:
        """Return where `reference` leads from `page`, in the one form that a crawl knows the page by; else None."""
        try:
            address = page.join(reference)
        except BadAddress:
            return None
        if not self.holds(address) or PurePosixPath(address.path).suffix.lower() in _NO_PAGES:
            return None
        return self.start.at(address.without_tracking().target)

    def places(self, links: PageLinks, page: WebAddress) -> Iterator[WebAddress]:
        """Yield the pages of this site that a page links to, each once, in order."""
        if not links.may_follow:
            return
        base = page
        if links.base:
            with suppress(BadAddress):
                base = page.join(links.base)
        seen = set()
        for reference in links.hrefs:
            address = self.place(reference, base)
            if address is not None and address not in seen:
                seen.add(address)
                yield address


def _port(address: WebAddress) -> int | None:
    """Return the port, or None for the usual ones."""
    return None if address.port == DEFAULT_PORTS[address.scheme] else address.port
