"""What users install: the wheel, built as for a release, and used where no checkout is near."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.server_process import environment

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist: what is left out there cannot be in it."""
    place = tmp_path_factory.mktemp("wheel")
    _python("-m", "hatchling", "build", "-t", "sdist", "-d", place, cwd=ROOT)
    (sdist,) = place.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist, "-C", place], check=True)
    _python("-m", "hatchling", "build", "-t", "wheel", "-d", place, cwd=place / sdist.name.removesuffix(".tar.gz"))
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    _python("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target, wheel, cwd=target)
    return target


def _python(*arguments: str | Path, cwd: Path, path: Path | None = None) -> str:
    variables = environment() | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=variables, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources(directory: Path, pattern: str) -> set[str]:
    """Return the files of the checkout that match, as paths below `directory`."""
    found = (path for path in directory.glob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(directory).as_posix() for path in found}


def test_the_wheel_holds_all_that_runs_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name.removeprefix("kyrochat/") for name in names if name.startswith("kyrochat/")}
    package = sources(ROOT / "src" / "kyrochat", "**/*")
    migrations = {f"migrations/{name}" for name in sources(ROOT / "migrations", "**/*")}

    assert inside == package | migrations
    assert inside >= {"py.typed", "migrations/env.py", "graphql/static/graphiql/index.html", "sample/bot.json"}
    assert any(name.startswith("migrations/versions/0001_") for name in inside)
    assert any(name.startswith("graphql/static/graphiql/assets/") for name in inside)
    assert any(name.startswith("sample/documents/") for name in inside)
    assert all(name.startswith(("kyrochat/", "kyrochat-")) for name in names)
    assert not [name for name in names if "test" in name.lower() and not name.startswith("kyrochat/graphql/static/")]
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_installed_package_prints_the_schema(installed: Path) -> None:
    printed = _python("-m", "kyrochat", "schema", cwd=installed, path=installed)
    assert printed == (ROOT / "schema.graphql").read_text("utf-8")


def test_the_installed_package_brings_its_migrations_and_pages(installed: Path) -> None:
    program = (
        "from kyrochat.db.migrate import migrations_dir, newest_revision;"
        "from kyrochat.graphql.pages import GRAPHIQL_DIR;"
        "print(migrations_dir()); print(newest_revision()); print((GRAPHIQL_DIR / 'index.html').is_file())"
    )
    directory, revision, has_page = _python("-c", program, cwd=installed, path=installed).split()
    newest = max(path.name.split("_")[0] for path in (ROOT / "migrations" / "versions").glob("[0-9]*.py"))
    assert Path(directory) == installed / "kyrochat" / "migrations"
    assert (revision, has_page) == (newest, "True")


def test_the_installed_package_answers(installed: Path, tmp_path: Path) -> None:
    """A database from its own migrations, its own sample, and a cited answer."""
    output = _python("-m", "kyrochat", "demo", "--data-dir", tmp_path / "data", cwd=installed, path=installed)
    assert "[1] " in output
    assert "“" in output
