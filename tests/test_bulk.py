"""`kyrochat ingest`: a folder and an archive into a bot, refused files named, cut short and run again."""

import asyncio
import subprocess
import zipfile
from asyncio.subprocess import PIPE
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.db.embedded.processes import stop_what_is_left
from tests.server_process import environment, kyrochat
from tests.test_cli import run

BOT = "Pico's handbook"
FILES = 40


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path, None, None]:
    """A data directory with the demo's bot."""
    directory = tmp_path_factory.mktemp("bulk") / "data"
    try:
        assert run("demo", "--data-dir", directory).returncode == 0
        yield directory
    finally:
        stop_what_is_left(directory)


def ingest(data_dir: Path, *paths: Path) -> "subprocess.CompletedProcess[str]":
    return run("ingest", BOT, *paths, "--data-dir", data_dir)


def lines(done: "subprocess.CompletedProcess[str]") -> list[str]:
    return sorted(done.stdout.splitlines())


def test_a_folder_and_an_archive_are_added_once_and_what_cannot_be_read_is_named(
    data_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "ponds"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "ducks.txt").write_text("A pond has ducks.")
    (folder / "deep" / "geese.md").write_text("# Geese\n\nA lake has geese.")
    (folder / ".git" / "config").write_text("hidden")
    (folder / "noise.txt").write_bytes(b"\x00\x01\x02\x03\xff" * 50)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("a/swans.txt", "A river has swans.")
        archive.writestr("__MACOSX/a/._swans.txt", "not a document")

    first = ingest(data_dir, folder, tmp_path / "more.zip")
    (folder / "noise.txt").unlink()
    again = ingest(data_dir, folder, tmp_path / "more.zip")

    assert first.returncode == 1
    assert [line for line in lines(first) if "noise" not in line] == [
        "Done: 3 read, 1 refused.",
        "Pico's handbook: 4 files",
        "more.zip/a/swans.txt: 1 passages",
        "ponds/deep/geese.md: 1 passages",
        "ponds/ducks.txt: 1 passages",
    ]
    [refused] = [line for line in first.stdout.splitlines() if "noise" in line]
    assert refused.startswith("ponds/noise.txt: refused. ")
    assert first.stderr.startswith("Error: Some files were not read")
    assert again.returncode == 0
    assert lines(again) == ["Done: 3 there already.", "Pico's handbook: 3 files"]
    asked = run("ask", BOT, "What does a river have?", "--data-dir", data_dir)
    assert "A river has swans." in asked.stdout


@pytest.mark.parametrize("path", ["/nowhere/at/all", "broken.zip"])
def test_a_path_that_leads_nowhere_is_told_before_anything_is_added(data_dir: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    (tmp_path / "crow.txt").write_text("A field has crows.")

    done = ingest(data_dir, tmp_path / "crow.txt", tmp_path / path)

    assert done.returncode == 1
    assert path in done.stderr
    assert done.stdout == ""
    assert "crows" not in run("ask", BOT, "What does a field have?", "--data-dir", data_dir).stdout


async def test_after_a_kill_in_the_middle_the_same_command_goes_on(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}.txt").write_text(f"Note {number} tells of heron number {number}. " * 200)
    command = kyrochat("ingest", BOT, folder, "--data-dir", data_dir)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment(), cwd="/")
    assert process.stdout is not None
    seen = [await process.stdout.readline() for _ in range(3)]
    process.kill()
    await process.wait()

    again = await asyncio.to_thread(ingest, data_dir, folder)

    assert b"passages" in seen[-1]
    assert again.returncode == 0, again.stderr
    last = again.stdout.splitlines()[-1]
    counts = {word: int(number) for number, _, word in (part.partition(" ") for part in last[6:-1].split(", "))}
    assert sum(counts.values()) == FILES
    assert counts.keys() <= {"there already", "read"}
    assert counts["there already"] >= 3
