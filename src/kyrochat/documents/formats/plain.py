"""Formats that are text already: plain text, Markdown, source code."""

from kyrochat.documents.decoding import decode, normalise
from kyrochat.documents.extracted import Extracted


def parse_text(data: bytes) -> Extracted:
    """Read plain text."""
    return Extracted(normalise(decode(data)), markdown=False)


def parse_markdown(data: bytes) -> Extracted:
    """Read Markdown as it stands; a first-level heading at its start is its title."""
    text = normalise(decode(data))
    first = text.lstrip().partition("\n")[0]
    title = first.removeprefix("# ").strip() if first.startswith("# ") else ""
    return Extracted(text, markdown=True, title=title or None)
