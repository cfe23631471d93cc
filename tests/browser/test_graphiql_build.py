import hashlib
import json
import re
from pathlib import Path
from typing import cast

import pytest

import kyrochat.graphql

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "web" / "graphiql"
BUILT = Path(kyrochat.graphql.__path__[0]) / "static" / "graphiql"
NPM_PROJECTS = [SOURCES, REPOSITORY / "tests" / "clients", REPOSITORY / "examples" / "typescript"]
SOURCE_NAMES = [
    "build-info.js",
    "index.html",
    "package-lock.json",
    "package.json",
    "tsconfig.json",
    "vite.config.js",
    "public",
    "src",
]
# 7 MB are what the page cost with all of the editor; more than that crept in by mistake.
MAX_BUILT_BYTES = 7_000_000


def _hashes(root: Path, paths: list[Path]) -> dict[str, str]:
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }


def _build_info() -> dict[str, dict[str, str]]:
    text = (BUILT / "build-info.json").read_text(encoding="utf-8")
    return cast("dict[str, dict[str, str]]", json.loads(text))


def test_the_committed_page_was_built_from_these_sources() -> None:
    sources = _hashes(SOURCES, [SOURCES / name for name in SOURCE_NAMES])

    assert sources == _build_info()["sources"], "Stale: run `npm ci && npm run build` in web/graphiql."


def test_the_committed_page_is_what_the_build_wrote() -> None:
    files = _hashes(BUILT, [BUILT])
    del files["build-info.json"]

    assert files == _build_info()["files"]
    assert sum((BUILT / name).stat().st_size for name in files) < MAX_BUILT_BYTES


def test_the_page_refers_to_nothing_but_its_own_files() -> None:
    html = (BUILT / "index.html").read_text(encoding="utf-8")
    references = re.findall(r'(?:src|href)="([^"]*)"', html)

    assert len(references) >= 3
    assert [name for name in references if not (BUILT / name).is_file() or not name.startswith("./")] == []
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", html) == []


def test_style_sheets_load_nothing_from_elsewhere() -> None:
    sheets = list(BUILT.glob("assets/*.css"))
    addresses = [
        address
        for sheet in sheets
        for address in re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]*)", sheet.read_text(encoding="utf-8"))
    ]

    assert sheets != []
    assert [address for address in addresses if re.match(r"(?:[a-z]+:)?//", address)] == []


@pytest.mark.parametrize("project", NPM_PROJECTS)
def test_the_npm_lock_names_no_download_addresses(project: Path) -> None:
    lock = json.loads((project / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert len(packages) > 50
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if not package.get("integrity")] == []


@pytest.mark.parametrize("project", NPM_PROJECTS)
def test_direct_npm_dependencies_are_pinned_exactly(project: Path) -> None:
    manifest = json.loads((project / "package.json").read_text(encoding="utf-8"))

    versions = [*manifest["devDependencies"].values(), *manifest.get("dependencies", {}).values()]
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
