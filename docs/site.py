"""Lays out what the site is built from: `python -m docs.site DIRECTORY`, as `make docs` does."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from docs.reference import reference_pages

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:")


def write(directory: Path) -> None:
    """Write the pages of docs/, the README as the first one, the changelog, and the reference; anew each time."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(DOCS / "images", directory / "images")
    for page in DOCS.rglob("*.md"):
        _write(directory / page.relative_to(DOCS), page.read_text("utf-8"), page.parent)
    readme = (ROOT / "README.md").read_text("utf-8").replace("](docs/images/", "](images/")
    _write(directory / "index.md", readme, ROOT)
    _write(directory / "CHANGELOG.md", (ROOT / "CHANGELOG.md").read_text("utf-8"), ROOT)
    for name, text in reference_pages().items():
        _write(directory / "reference" / f"{name}.md", text, None)


def _write(target: Path, text: str, home: Path | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if home is not None:
        text = _LINK.sub(_relinked(home), text)
    target.write_text(text, encoding="utf-8")


def _relinked(home: Path) -> Callable[[re.Match[str]], str]:
    """Return what turns links between files of the repository into links between pages, or into their words."""

    def replace(link: re.Match[str]) -> str:
        words, path, anchor = link[1], link[2], link[3] or ""
        if _ADDRESS.match(path):
            return link[0]
        found = (home / path).resolve()
        if found == ROOT / "README.md":
            page = Path("index.md")
        elif found == ROOT / "CHANGELOG.md":
            page = Path("CHANGELOG.md")
        elif found.is_relative_to(DOCS) and found.suffix == ".md":
            page = found.relative_to(DOCS)
        else:
            return words  # a file without a page
        depth = len(home.relative_to(DOCS).parts) if home.is_relative_to(DOCS) else 0
        return f"[{words}]({'../' * depth}{page.as_posix()}{anchor})"

    return replace


if __name__ == "__main__":
    write(Path(sys.argv[1]))
