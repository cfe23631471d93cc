"""What a site's robots.txt asks of us (RFC 9309)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from protego import Protego

from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import PRODUCT

# The least that the RFC wants to be read, and where others stop, too.
MAX_ROBOTS_BYTES = 500 * 1024
# A site that asks for more pause than this between two pages gets this much.
MAX_DELAY_S = 30.0
MAX_SITEMAPS = 20

_AGENT_LINE = re.compile(r"\s{0,99}user[- ]?agent\s{0,99}:?\s{0,99}(\*|[\w-]*)", re.I)


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one site for us."""

    rules: Protego

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a robots.txt file. Anything may be in it: what makes no sense is skipped."""
        text = data[:MAX_ROBOTS_BYTES].decode("utf-8", errors="replace").removeprefix("\ufeff")
        return cls(Protego.parse("\n".join(map(_ours_or_other, text.splitlines()))))

    @classmethod
    def silent(cls) -> Self:
        """Return the rules of a site without the file: everything is allowed."""
        return cls.parse(b"")

    def allows(self, address: WebAddress) -> bool:
        """Say whether we may fetch the page."""
        return bool(self.rules.can_fetch(str(address), PRODUCT))

    @property
    def delay_s(self) -> float:
        """How long to pause between two requests; 0 when the site does not say."""
        return min(self.rules.crawl_delay(PRODUCT) or 0.0, MAX_DELAY_S)

    @property
    def sitemaps(self) -> Sequence[str]:
        """Addresses of sitemaps, as they are written there."""
        return list(self.rules.sitemaps)[:MAX_SITEMAPS]


def _ours_or_other(line: str) -> str:
    """Give all other robots one name.

    Each rule is kept for each robot that it is for, so a file of half names and half rules would take gigabytes.
    """
    found = _AGENT_LINE.match(line)
    if found is None:
        return line
    if found[1] == "*":
        return line
    return f"User-agent: {PRODUCT if found[1].lower() == PRODUCT.lower() else 'other'}"
