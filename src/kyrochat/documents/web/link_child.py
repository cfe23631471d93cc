"""Reads the links of a page in the parsers' jail: `python -I -m kyrochat.documents.web.link_child FORMAT LIMITS`."""

import json
import sys
from dataclasses import asdict, dataclass

from kyrochat.documents import parse_child
from kyrochat.documents.decoding import decode
from kyrochat.documents.extracted import Extracted
from kyrochat.documents.extraction import Extractor
from kyrochat.documents.formats.readers import FORMATS, Format
from kyrochat.documents.media_types import MediaType
from kyrochat.documents.web.links import PageLinks, page_links
from kyrochat.errors import UnreadableDocument

CHILD = ("-m", "kyrochat.documents.web.link_child")


@dataclass(frozen=True, slots=True)
class LinkReader:
    """Reads links in child processes; `extractor` is one whose child is this module."""

    extractor: Extractor

    async def read(self, body: bytes) -> PageLinks:
        """Return what a page of HTML says about other pages: nothing, if it cannot be parsed."""
        try:
            found = await self.extractor.extract(body, MediaType.HTML)
        except UnreadableDocument:
            return PageLinks()
        fields = json.loads(found.text)
        return PageLinks(**{**fields, "hrefs": tuple(fields["hrefs"])})


def links_as_text(data: bytes) -> Extracted:
    """Return the links in the place of the text: that is what comes through the jail's door."""
    return Extracted(json.dumps(asdict(page_links(decode(data, html=True)))), markdown=False)


if __name__ == "__main__":
    FORMATS[MediaType.HTML] = Format(links_as_text)
    parse_child.main(sys.argv[1], sys.argv[2])
