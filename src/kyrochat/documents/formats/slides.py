"""Slides (PPTX): each one a page with its title, texts, tables, charts and notes."""

import io
from collections.abc import Iterator
from typing import Any

from kyrochat.documents.archives import DAMAGED
from kyrochat.documents.extracted import MAX_PAGES, Extracted, paged
from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.open_xml import refuse_doctypes
from kyrochat.errors import UnreadableDocument

_MAX_DEPTH = 100  # of groups in groups
_DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DRAWING_PARAGRAPH = "{http://schemas.openxmlformats.org/drawingml/2006/main}p"
_DRAWING_TEXT = "{http://schemas.openxmlformats.org/drawingml/2006/main}t"


def parse_slides(data: bytes) -> Extracted:
    """Read all slides, hidden ones too; `page_starts` has an entry for each.

    Raises:
        UnreadableDocument: it is damaged, or has no slides or too many.
        TooMuchText: it has more than `MAX_CHARS` characters.
    """
    refuse_doctypes(data)
    from pptx import Presentation
    from pptx.exc import PackageNotFoundError

    try:
        presentation = Presentation(io.BytesIO(data))
        count = len(presentation.slides)
    except (PackageNotFoundError, KeyError, ValueError, SyntaxError, AttributeError) as error:
        raise UnreadableDocument(DAMAGED) from error
    if not count:
        raise UnreadableDocument("The presentation has no slides. Choose a file that holds text.")
    if count > MAX_PAGES:
        raise UnreadableDocument(
            f"The presentation has {count:,} slides, and up to {MAX_PAGES:,} are read. Split it into smaller files."
        )
    title = markdown.one_line(presentation.core_properties.title or "")[: markdown.MAX_HEADING_CHARS]
    return paged((markdown.blocks(_slide(slide)) for slide in presentation.slides), title=title or None)


def _slide(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None:
        yield markdown.heading(1, title.text_frame.text)
    yield from _shapes((shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id), 0)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        if notes:
            yield markdown.plain(f"Notes: {_lines(notes)}")


def _shapes(shapes: Any, depth: int) -> Iterator[str]:
    for shape in shapes:
        if getattr(shape, "has_table", False):
            yield markdown.table([[cell.text for cell in row.cells] for row in shape.table.rows])
        elif getattr(shape, "has_chart", False):
            yield from _chart(shape.chart)
        elif shape.has_text_frame:
            yield from _texts(shape)
        elif hasattr(shape, "shapes") and depth < _MAX_DEPTH:
            yield from _shapes(shape.shapes, depth + 1)
        else:
            yield from _diagram(shape)


def _texts(shape: Any) -> Iterator[str]:
    paragraphs = [(paragraph.level, _lines(paragraph.text)) for paragraph in shape.text_frame.paragraphs]
    paragraphs = [(level, text) for level, text in paragraphs if text]
    # What a slide's layout calls its body is a list of points; other boxes are texts.
    is_list = shape.is_placeholder and len(paragraphs) > 1
    for level, text in paragraphs:
        yield markdown.item(text.replace("\n", " "), level) if is_list else markdown.plain(text)


def _chart(chart: Any) -> Iterator[str]:
    if chart.has_title and chart.chart_title.has_text_frame:
        yield markdown.plain(_lines(chart.chart_title.text_frame.text))
    for plot in chart.plots:
        series = list(plot.series)
        head = ["", *(str(one.name) for one in series)]
        columns = [list(one.values) for one in series]
        rows = [
            [str(category), *(_number(column[place]) if place < len(column) else "" for column in columns)]
            for place, category in enumerate(plot.categories)
        ]
        yield markdown.table([head, *rows])


def _diagram(shape: Any) -> Iterator[str]:
    """Yield the texts of a SmartArt drawing, which lie in a part of their own."""
    for reference in shape.element.iter(f"{{{_DIAGRAM}}}relIds"):
        relation = shape.part.rels.get(reference.get(f"{{{_RELATIONS}}}dm", ""))
        if relation is None or relation.is_external:
            continue
        from lxml import etree

        root = etree.fromstring(relation.target_part.blob, etree.XMLParser(resolve_entities=False, no_network=True))
        for paragraph in root.iter(_DRAWING_PARAGRAPH):
            text = "".join(piece.text or "" for piece in paragraph.iter(_DRAWING_TEXT)).strip()
            if text:
                yield markdown.item(text)


def _lines(text: str) -> str:
    return text.replace("\v", "\n").strip()  # PowerPoint's line break


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"
