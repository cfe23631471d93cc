"""The body of a Word document, in reading order. python-docx opens it; what its model leaves out is read here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from docx.oxml.ns import qn
from lxml import etree

from kyrochat.documents.formats import markdown
from kyrochat.documents.formats.word_numbering import Numbering

_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_P, _TBL, _TR, _TC, _T = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc"), qn("w:t")
_TEXT_BOX = qn("w:txbxContent")
# What has been deleted, says how a field is computed, or repeats a text box for old programs.
_SKIPPED = frozenset([qn("w:del"), qn("w:moveFrom"), qn("w:instrText"), qn("w:pPr"), qn("w:rPr"), _FALLBACK])
_AS_TEXT = {
    qn("w:tab"): "\t",
    qn("w:br"): "\n",
    qn("w:cr"): "\n",
    qn("w:noBreakHyphen"): "-",
}
_NOTES = {qn("w:footnoteReference"): "footnote", qn("w:endnoteReference"): "endnote"}
_MAX_DEPTH = 20  # of tables in tables and containers in containers; people use three
_TITLE_STYLES = frozenset(["title"])


@dataclass(slots=True)
class Body:
    """Walks once from the beginning to the end."""

    root: Any
    levels: dict[str, int]  # style -> level of the heading, from 1
    style_lists: dict[str, tuple[str, int]]  # style -> list and depth
    numbering: Numbering
    notes: dict[tuple[str, str], Any]
    pending: list[Any] = field(default_factory=list)  # text boxes and notes that follow their paragraph

    @classmethod
    def of(cls, document: Any) -> "Body":
        """Return the body of a document that python-docx has opened."""
        part = document.part
        styles = {
            style.get(qn("w:styleId"), ""): style for style in document.styles.element.iterchildren(qn("w:style"))
        }
        lists = {}
        for name, style in styles.items():
            found = _list_of(style.find(qn("w:pPr")))
            if found:
                lists[name] = found
        return cls(
            document.element.body,
            {name: level for name in styles if (level := _heading_level(name, styles))},
            lists,
            Numbering.of(_related(part, "numbering")),
            {
                (kind, note.get(qn("w:id"), "")): note
                for kind in ("footnote", "endnote")
                for notes in (_related(part, f"{kind}s"),)
                for note in (notes if notes is not None else ())
            },
        )

    def blocks(self) -> Iterator[str]:
        """Yield paragraphs, headings, list items and tables."""
        return self._blocks(self.root, 0)

    def _blocks(self, container: Any, depth: int) -> Iterator[str]:
        if depth > _MAX_DEPTH:
            yield markdown.plain(markdown.one_line("".join(self._pieces(container))))
            return
        for element in container:
            if element.tag == _P:
                yield self._paragraph(element)
            elif element.tag == _TBL:
                yield from self._table(element, depth)
            elif element.tag not in _SKIPPED and isinstance(element.tag, str):
                yield from self._blocks(element, depth + 1)  # content controls, insertions
                continue
            yield from self._followers(depth)

    def _followers(self, depth: int) -> Iterator[str]:
        while self.pending:
            follower = self.pending.pop(0)
            if isinstance(follower, str):
                yield follower
            else:
                yield from self._blocks(follower, depth + 1)

    def _paragraph(self, paragraph: Any) -> str:
        text = "".join(self._pieces(paragraph)).strip()
        properties = paragraph.find(qn("w:pPr"))
        style = _value(properties, "w:pStyle") or ""
        found = _list_of(properties)
        # A list of number 0 takes the paragraph out of its style's list.
        list_id, depth = found or self.style_lists.get(style, ("", 0))
        if not text:
            return ""
        label = self.numbering.next(list_id, depth) if list_id else ""
        level = self.levels.get(style) or _outline_level(properties)
        if level:
            return markdown.heading(level, f"{label} {text}" if label not in ("", "-") else text)
        if label == "-":
            return markdown.item(text, depth)
        if label:
            # As a paragraph of its own, since Markdown would count anew.
            return markdown.plain(f"{label} {text}")
        return markdown.plain(text)

    def _pieces(self, element: Any) -> Iterator[str]:
        """Yield the text of a paragraph's runs; no recursion, since nesting is the file's to choose."""
        open_elements = [iter(element)]
        while open_elements:
            child = next(open_elements[-1], None)
            if child is None:
                open_elements.pop()
            elif child.tag in (_T, _MATH_TEXT):
                yield child.text or ""
            elif child.tag in _AS_TEXT:
                yield _AS_TEXT[child.tag]
            elif child.tag in _NOTES:
                yield self._note(_NOTES[child.tag], child.get(qn("w:id"), ""))
            elif child.tag == _TEXT_BOX:
                self.pending.append(child)
            elif child.tag not in _SKIPPED:
                open_elements.append(iter(child))

    def _note(self, kind: str, identity: str) -> str:
        note = self.notes.pop((kind, identity), None)
        if note is None:
            return ""
        mark = f"[^{'e' if kind == 'endnote' else ''}{identity}]"
        self.pending.append(f"{mark}: {markdown.one_line(''.join(self._pieces(note)))}")
        return mark

    def _table(self, table: Any, depth: int) -> Iterator[str]:
        rows = [list(_inside(row, _TC)) for row in _inside(table, _TR)]
        if all(len(row) <= 1 for row in rows):  # a frame around text
            for row in rows:
                for cell in row:
                    yield from self._blocks(cell, depth + 1)
            return
        written: list[list[str]] = []
        for row in rows:
            line: list[str] = []
            for cell in row:
                properties = cell.find(qn("w:tcPr"))
                merge = None if properties is None else properties.find(qn("w:vMerge"))
                is_continued = merge is not None and merge.get(qn("w:val")) != "restart"
                above = written[-1][len(line)] if written and len(written[-1]) > len(line) else ""
                line.append(above if is_continued else self._cell(cell, depth))
                line += [""] * (_span(properties) - 1)
            written.append(line)
        yield markdown.table(written)

    def _cell(self, cell: Any, depth: int) -> str:
        return " ".join(part for part in map(markdown.one_line, self._blocks(cell, depth + 1)) if part)


def _inside(element: Any, tag: str) -> Iterator[Any]:
    """Yield the nearest descendants of this kind: rows and cells may lie in content controls."""
    open_elements = [iter(element)]
    while open_elements:
        child = next(open_elements[-1], None)
        if child is None:
            open_elements.pop()
        elif child.tag == tag:
            yield child
        elif child.tag not in _SKIPPED and child.tag not in (_P, _TBL):
            open_elements.append(iter(child))


def _related(part: Any, kind: str) -> Any:
    """Return the root element of the part that is in this relation to the document, or None."""
    for relation in part.rels.values():
        if relation.reltype == f"{_RELATIONS}/{kind}" and not relation.is_external:
            blob = relation.target_part.blob
            return etree.fromstring(blob, etree.XMLParser(resolve_entities=False, no_network=True))
    return None


def _heading_level(name: str, styles: dict[str, Any]) -> int | None:
    """Return the level of a style, by itself or by what it is based on."""
    seen: set[str] = set()
    while name in styles and name not in seen:
        seen.add(name)
        style = styles[name]
        if (_value(style, "w:name") or "").lower() in _TITLE_STYLES:
            return 1
        if level := _outline_level(style.find(qn("w:pPr"))):
            return level
        name = _value(style, "w:basedOn") or ""
    return None


def _outline_level(properties: Any) -> int | None:
    level = _value(properties, "w:outlineLvl")
    # 9 means body text.
    return int(level) + 1 if level and level.isdecimal() and int(level[:3]) < 9 else None


def _list_of(properties: Any) -> tuple[str, int] | None:
    numbers = None if properties is None else properties.find(qn("w:numPr"))
    if numbers is None:
        return None
    depth = _value(numbers, "w:ilvl") or "0"
    return (_value(numbers, "w:numId") or "").removeprefix("0"), int(depth[:2]) if depth.isdecimal() else 0


def _span(properties: Any) -> int:
    span = _value(properties, "w:gridSpan") or "1"
    return min(int(span[:3]), 100) if span.isdecimal() else 1


def _value(element: Any, child: str) -> str | None:
    found = None if element is None else element.find(qn(child))
    return None if found is None else found.get(qn("w:val"))
