"""What is written down holds: links lead somewhere, and nothing tells of places that only one machine has."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
# In pieces, or this file would find itself.
FORBIDDEN = [
    "../sha" + "red",
    "/wo" + "rk/",
    "/home/" + "runner",
    "files.python" + "hosted",
    "registry." + "npmjs",
    "pypi." + "org/simple",
    "registry." + "yarnpkg",
]
_LINK = re.compile(
    r"(?<!!)\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|!\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)", re.M
)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)


def tracked() -> list[Path]:
    """Return the files of the repository: committed, or to be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#{1,6}\s+(.*)$", _FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path, root: Path = ROOT) -> list[str]:
    """Return the relative links of a page that lead nowhere, or out of `root`."""
    text = page.read_text("utf-8")
    links = ["".join(groups) for groups in _LINK.findall(_FENCE.sub("", text))]
    broken = []
    for link in links:
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        target, _, anchor = unquote(link).partition("#")
        path = (page.parent / target).resolve() if target else page
        is_there = path.exists() and path.is_relative_to(root)
        if is_there and anchor and path.suffix == ".md":
            is_there = anchor in anchors(path.read_text("utf-8"))
        if not is_there:
            broken.append(link)
    return broken


def test_relative_links_lead_to_files_of_the_repository() -> None:
    pages = [path for path in tracked() if path.suffix == ".md" and "journey/documents" not in path.as_posix()]
    assert pages
    assert {str(page.relative_to(ROOT)): found for page in pages if (found := broken_links(page))} == {}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](nothing.md) ![b](no.png) [c](#no-such) [d](#a-heading) [e](https://x.org/y)\n\n# A heading\n")
    assert broken_links(page, tmp_path) == ["nothing.md", "no.png", "#no-such"]


def test_no_file_tells_of_one_machine_or_of_registries() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {word}"
        for path in tracked()
        for content in [path.read_bytes()]
        for word in FORBIDDEN
        if word.encode() in content
    }
    assert found == set()


def test_every_decision_is_listed() -> None:
    decisions = ROOT / "docs" / "decisions"
    index = (decisions / "README.md").read_text("utf-8")
    missing = [path.name for path in decisions.glob("[0-9]*.md") if path.name not in index]
    assert missing == []
