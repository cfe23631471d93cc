"""A crawl's visit to one page: what is there, and what becomes of it. Nothing is stored here."""

import asyncio
from dataclasses import dataclass

from kyrochat.documents.media_types import MediaType
from kyrochat.documents.web.content import Content, content_of
from kyrochat.documents.web.link_child import LinkReader
from kyrochat.documents.web.links import PageLinks
from kyrochat.documents.web.manners import Visitor
from kyrochat.documents.web.scope import Scope
from kyrochat.documents.web.sitemap import Sitemap, parse_sitemap
from kyrochat.errors import FetchFailed, UnreadableDocument
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import Fetched

MAX_SITEMAPS = 10
DEFAULT_SITEMAP = "/sitemap.xml"


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visit has brought: `content`, or the `reason` why the page becomes no document.

    `instead` is the address that the page, or its site, would rather be known by; `links` are pages of the site.
    """

    site: WebAddress
    page: Fetched
    content: Content | None = None
    reason: str | None = None
    instead: str | None = None
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guide:
    """Knows its way about a site."""

    visitor: Visitor
    links: LinkReader

    async def visit(self, address: WebAddress, site: WebAddress | None) -> Visit:
        """Return what is at the address. Without a `site`, it is the one that this page leads to.

        Raises:
            FetchFailed: the page cannot be had.
        """
        found = await self.visitor.fetch(address)
        if not isinstance(found, Fetched):  # "unchanged", to a question that was not asked
            raise FetchFailed("The site does not answer with the page.", retryable=True)
        scope = Scope(site or found.address)
        place = scope.place("", found.address)
        if place is None:
            return Visit(scope.start, found, reason="The page leads on to another site, or to no page.")
        try:
            content = await asyncio.to_thread(content_of, found)
        except UnreadableDocument as error:
            return Visit(scope.start, found, reason=error.message)
        said = await self.links.read(content.body) if content.media_type is MediaType.HTML else PageLinks()
        preferred = scope.place(said.canonical, found.address) if said.canonical else None
        instead = str(preferred or place)
        return Visit(
            scope.start,
            found,
            content,
            reason=None if said.may_index else "The page asks robots not to keep it.",
            instead=instead if instead != str(address) else None,
            links=tuple(map(str, scope.places(said, found.address))),
        )

    async def map_of(self, site: WebAddress, most: int) -> list[str]:
        """Return up to `most` pages of the site that its sitemaps list; what cannot be read is left out."""
        scope, pages = Scope(site), dict[str, None]()
        waiting = await self._sitemaps(site)
        for number, address in enumerate(waiting):
            if number == MAX_SITEMAPS or len(pages) >= most:
                break
            found = await self._sitemap(address)
            places = (scope.place(reference, address) for reference in found.pages)
            pages.update((str(place), None) for place in places if place is not None)
            # Of any host: the file of a large site may be elsewhere, but its pages are not.
            waiting += _joined(address, found.sitemaps)
        return list(pages)[:most]

    async def _sitemaps(self, site: WebAddress) -> list[WebAddress]:
        try:
            named = (await self.visitor.robots(site)).sitemaps
        except FetchFailed:
            named = ()
        return _joined(site, tuple(named)) or [site.at(DEFAULT_SITEMAP)]

    async def _sitemap(self, address: WebAddress) -> Sitemap:
        try:
            found = await self.visitor.fetch(address)
        except FetchFailed:
            return Sitemap()
        return await asyncio.to_thread(parse_sitemap, found.body) if isinstance(found, Fetched) else Sitemap()


def _joined(page: WebAddress, references: tuple[str, ...]) -> list[WebAddress]:
    joined = []
    for reference in references[:MAX_SITEMAPS]:
        try:
            joined.append(page.join(reference))
        except FetchFailed:
            continue
    return joined
