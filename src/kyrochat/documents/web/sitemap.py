"""Reads sitemaps: lists of a site's pages, and lists of such lists, as XML or as plain lines."""

from contextlib import suppress
from dataclasses import dataclass, field
from xml.parsers import expat

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import MAX_ADDRESS_CHARS
from kyrochat.outbound.body import gunzip

MAX_PAGES = 50_000  # as the protocol has it
MAX_SITEMAP_BYTES = 10 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Sitemap:
    """Addresses as they are written: of pages, and of further sitemaps."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


class _Enough(Exception):
    """The rest is not read."""


def parse_sitemap(data: bytes) -> Sitemap:
    """Return what a sitemap lists; of one that breaks off or makes no sense, what came before that.

    In a thread, please: ten megabytes take a tenth of a second.
    """
    if data.startswith(_GZIP_MAGIC):
        try:
            data = gunzip(data, MAX_SITEMAP_BYTES)
        except FetchFailed:
            return Sitemap()
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    return _xml(data) if data.startswith(b"<") else _lines(data)


def _lines(data: bytes) -> Sitemap:
    lines = data.decode("utf-8", errors="replace").split("\n")
    found = [line.strip() for line in lines if line.strip().startswith(("http://", "https://"))]
    return Sitemap(tuple(line for line in found[:MAX_PAGES] if len(line) <= MAX_ADDRESS_CHARS))


def _xml(data: bytes) -> Sitemap:
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = reader.doctype  # nobody needs entities here, but bombs are made of them
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    with suppress(expat.ExpatError, ValueError, LookupError, _Enough):  # the second and third for unknown encodings
        parser.Parse(data, True)
    return Sitemap(tuple(reader.pages), tuple(reader.sitemaps))


@dataclass(slots=True)
class _Reader:
    """What expat calls. Names are `namespace name`; `loc` of other namespaces belongs to images and videos."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)
    namespace: str | None = None
    inside: str = ""
    loc: list[str] | None = None
    loc_chars: int = 0

    def doctype(self, *_: object) -> None:
        raise _Enough

    def start(self, name: str, _attributes: object) -> None:
        namespace, _, local = name.rpartition(" ")
        self.namespace = namespace if self.namespace is None else self.namespace
        if namespace != self.namespace:
            return
        if local in ("url", "sitemap"):
            self.inside = local
        elif local == "loc" and self.inside:
            self.loc, self.loc_chars = [], 0

    def text(self, text: str) -> None:
        if self.loc is not None and self.loc_chars <= MAX_ADDRESS_CHARS:
            self.loc.append(text)
            self.loc_chars += len(text)

    def end(self, name: str) -> None:
        if self.loc is None or name.rpartition(" ")[2] != "loc":
            return
        address, self.loc = "".join(self.loc).strip(), None
        if not address or len(address) > MAX_ADDRESS_CHARS:
            return
        (self.pages if self.inside == "url" else self.sitemaps).append(address)
        if len(self.pages) + len(self.sitemaps) >= MAX_PAGES:
            raise _Enough
