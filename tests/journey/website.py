"""A small website in the test's own event loop: what a bot reads, and what it is asked about."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.documents.web.scene import Site, page
from tests.outbound.wire import Wire, answer, listening

LOCAL = "127.0.0.1"
OLD_HOURS = "The reading room of the harbour museum opens at nine on weekdays."
NEW_HOURS = "The reading room of the harbour museum opens at noon on weekdays."


@dataclass
class Website:
    """The site, and what it was asked."""

    wire: Wire
    site: Site = field(default_factory=Site)

    def url(self, target: str = "/") -> str:
        return f"http://{LOCAL}:{self.wire.port}{target}"


def museum(base: str) -> dict[str, bytes]:
    """The pages of a museum with robots.txt and a sitemap."""
    robots = f"User-agent: *\nDisallow: /staff\nSitemap: {base}/sitemap.xml\n"
    sitemap = f"<urlset><url><loc>{base}/hours</loc></url><url><loc>{base}/unlinked</loc></url></urlset>"
    return {
        "/robots.txt": answer(robots.encode(), content_type="text/plain"),
        "/sitemap.xml": answer(sitemap.encode(), content_type="application/xml"),
        "/": page("Harbour museum", "The harbour museum shows ships and ropes.", "/hours", "/tickets", "/staff/rota"),
        "/hours": page("Opening hours", OLD_HOURS, "/", etag='"1"'),
        "/tickets": page("Tickets", "A ticket of the harbour museum costs eleven euros.", "/tickets/groups"),
        "/tickets/groups": page("Groups", "Groups of ten visitors pay ninety euros together."),
        "/unlinked": page("Lighthouse", "The lighthouse beside the museum was built in 1888."),
        "/staff/rota": page("Rota", "Nobody but the staff may read who works on Sunday."),
    }


@asynccontextmanager
async def museum_on_the_web() -> AsyncGenerator[Website, None]:
    """Serve the museum's site on loopback."""
    site = Site()
    async with listening(site, host=LOCAL) as wire:
        website = Website(wire, site)
        site.pages |= museum(website.url("").rstrip("/"))
        yield website
