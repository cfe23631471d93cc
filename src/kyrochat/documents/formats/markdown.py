"""How parsed structures are written: the few marks of Markdown that the chunker and a model understand."""

import re
from collections.abc import Iterable, Sequence

MAX_HEADING_CHARS = 200  # what is longer is a paragraph in large letters
MAX_NAME_CHARS = 60  # of a column; longer cells in a first row are content

# A line that Markdown would take for a heading, an underline of one, or the edge of code.
_MARK = re.compile(r"^ {0,3}(?:#{1,6}(?=[ \t]|$)|=+[ \t]*$|-{2,}[ \t]*$|`{3,}|~{3,})", re.M)
_BLANKS = re.compile(r"\s+")
_NUMBER = re.compile(r"[-+]?[\d.,:/% €$£-]+")


def one_line(text: str) -> str:
    """Return the text with each run of white space as one blank."""
    return _BLANKS.sub(" ", text).strip()


def heading(level: int, text: str) -> str:
    """Return a heading of level 1 to 6, or a paragraph when it is too long for one; '' for nothing."""
    line = one_line(text).lstrip("#").lstrip()
    if not line:
        return ""
    return f"{'#' * min(max(level, 1), 6)} {line}" if len(line) <= MAX_HEADING_CHARS else plain(line)


def plain(text: str) -> str:
    """Return a text whose lines are no headings and no code fences, whatever they begin with.

    Only what would change the structure of everything after it is indented; the rest stays as it is written.
    """
    return _MARK.sub(lambda mark: "    " + mark[0].lstrip(" "), text)


def item(text: str, depth: int = 0, label: str = "-") -> str:
    """Return a list item; `depth` counts from 0."""
    return f"{'  ' * depth}{label} {text.strip()}"


def blocks(parts: Iterable[str]) -> str:
    """Join what is not blank with empty lines between; consecutive list items stand together."""
    written: list[str] = []
    last_is_item = False
    for part in parts:
        if not part.strip():
            continue
        is_item = bool(_ITEM.match(part))
        written.append("\n" if last_is_item and is_item else "\n\n")
        written.append(part)
        last_is_item = is_item
    return "".join(written[1:])


_ITEM = re.compile(r" *- ")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first row is its head; rows may differ in length. One column is just lines."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    cells = _without_empty_columns([row for row in cells if any(row)])
    if not cells:
        return ""
    if len(cells[0]) == 1:
        return plain("\n".join(row[0] for row in cells))
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
    lines.insert(1, "|" + "---|" * len(cells[0]))
    return "\n".join(lines)


def records(rows: Sequence[Sequence[str]]) -> str:
    """Return a sheet's rows as items that say what they hold: `- Month: April; Work: First inspection`.

    A chunk in the middle of a long table is then understood without the table's head. Where the first row names
    no columns, the cells stand in a row with bars between.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    cells = _without_empty_columns([row for row in cells if any(row)])
    if not cells:
        return ""
    head, *rest = cells
    if not rest or not _names_columns(head):
        return plain("\n".join(" | ".join(row).strip(" |") if len(row) > 1 else row[0] for row in cells))
    return "\n".join("- " + _record(head, row) for row in rest)


def _record(head: Sequence[str], row: Sequence[str]) -> str:
    pairs = zip(head, row, strict=True)
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def _names_columns(row: Sequence[str]) -> bool:
    names = [cell for cell in row if cell]
    return (
        len(names) >= 2
        and len(names) >= len(row) - 1
        and len(set(names)) == len(names)
        and not any(len(name) > MAX_NAME_CHARS or _NUMBER.fullmatch(name) for name in names)
    )


def _without_empty_columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return rows of one length, without the columns that hold nothing."""
    width = max(map(len, rows), default=0)
    padded = [[*row, *[""] * (width - len(row))] for row in rows]
    used = [any(column) for column in zip(*padded, strict=True)]
    return [[cell for cell, keep in zip(row, used, strict=True) if keep] for row in padded]
