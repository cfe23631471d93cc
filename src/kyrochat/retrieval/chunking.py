"""Cuts a text into chunks that are retrieved and cited by themselves, each with its exact place."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from kyrochat.retrieval.markdown import Heading, headings, nearest_heading
from kyrochat.retrieval.types import Chunk

MAX_CHUNK_CHARS = 1_400
"""No chunk is longer. The splitter stops earlier, so that a heading fits in front of its section."""

FILLED_CHUNK_CHARS = 900
SPLITTER_MAX_CHARS = 1_150

DENSE_FACTOR = 0.4
"""Chinese, Japanese and Korean say in two characters what takes English five."""

SHORT_CHUNK_CHARS = 160
"""A chunk below this says too little alone and joins its neighbour in the same section."""

BATCH_CHARS = 8_000
"""The splitters' time grows with the square of a block without breaks (22 s for 200,000 Chinese characters); on batches
it stays linear in the length of any text."""

_DENSE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_SAMPLE_CHARS = 20_000


def split(text: str, *, markdown: bool, page_starts: Sequence[int] = ()) -> list[Chunk]:
    """Return the chunks of a text in order; `text[chunk.start:chunk.end] == chunk.text`.

    They do not overlap, none is blank or longer than `MAX_CHUNK_CHARS`, and together they hold every character that
    is not white space. With `markdown`, sections are kept together where they fit, and `heading` is the nearest
    heading at or above the chunk's start. With `page_starts`, ascending offsets of which the first is 0, no chunk
    reaches over the edge of a page, so that each quote from it is on `page`, counted from 1.
    """
    found = headings(text) if markdown else []
    starts = [heading.start for heading in found]
    spans: list[tuple[int, int]] = []
    for page_start, page_end in pairwise([*(page_starts or [0]), len(text)]):
        for start, end in _batches(text, starts, page_start, page_end):
            spans += _join(text, _raw_spans(text, start, end, markdown), found, starts)
    return [
        Chunk(start, end, text[start:end], nearest_heading(found, start), bisect_right(page_starts, start) or None)
        for start, end in spans
    ]


def _batches(text: str, heading_starts: Sequence[int], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges that cover [start, stop) of the text, cut where it hurts least."""
    while stop - start > BATCH_CHARS:
        limit, least = start + BATCH_CHARS, start + BATCH_CHARS // 2
        place = bisect_left(heading_starts, limit) - 1
        cut = heading_starts[place] if place >= 0 and heading_starts[place] > least else -1
        for mark in ("\n\n", "\r\n\r\n", "\n", " "):
            if cut < least:
                cut = text.rfind(mark, least, limit)
        if cut < least:
            cut = limit
        yield start, cut
        start = cut
    yield start, stop


def _raw_spans(text: str, start: int, end: int, markdown: bool) -> list[tuple[int, int]]:
    part = text[start:end]
    sample = part[:_SAMPLE_CHARS]
    dense_share = len(_DENSE.findall(sample)) / max(len(sample), 1)
    factor = DENSE_FACTOR if dense_share > 0.3 else 1.0
    capacity = (int(FILLED_CHUNK_CHARS * factor), int(SPLITTER_MAX_CHARS * factor))
    splitter = MarkdownSplitter(capacity) if markdown else TextSplitter(capacity)
    pieces = splitter.chunk_indices(part)
    return [(start + at, start + at + len(piece)) for at, piece in pieces if piece.strip()]


def _join(
    text: str, spans: Sequence[tuple[int, int]], found: Sequence[Heading], starts: Sequence[int]
) -> list[tuple[int, int]]:
    """Put headings that end a chunk in front of what follows them, and short chunks to their section's rest."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined:
            last_start, last_end = joined[-1]
            title_start = _closing_headings(text, last_start, last_end, found, starts)
            short = min(end - start, last_end - last_start) < SHORT_CHUNK_CHARS
            same_section = bisect_left(starts, last_end) == bisect_left(starts, start + 1)
            if end - last_start <= MAX_CHUNK_CHARS and (title_start == last_start or (short and same_section)):
                joined[-1] = (last_start, end)
                continue
            if last_start < title_start < last_end and end - title_start <= MAX_CHUNK_CHARS:
                joined[-1] = (last_start, last_start + len(text[last_start:title_start].rstrip()))
                start = title_start
        joined.append((start, end))
    return joined


def _closing_headings(text: str, start: int, end: int, found: Sequence[Heading], starts: Sequence[int]) -> int:
    """Return where the headings begin that a chunk ends with: `start` if it holds nothing else, `end` if none."""
    for place in range(bisect_left(starts, end) - 1, -1, -1):
        heading = found[place]
        if heading.start < start or text[heading.end : end].strip():
            break
        end = heading.start
    return end if text[start:end].strip() else start
