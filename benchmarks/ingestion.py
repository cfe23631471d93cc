"""How fast files become findable: `python -m benchmarks.ingestion`.

The whole way, as a user of the terminal goes it: files in, stored with their hash, parsed in a child where they need
one, cut, encoded, written to a durable PostgreSQL, until the last one is READY. Beside it, in the same run and on the
same files, a plain LangChain pipeline that keeps everything in memory and can lose it: see `langchain_pipeline`. The
ratio of the two travels between machines; seconds do not.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from kyrochat.accounts.viewer import NOWHERE
from kyrochat.db.access import database_access
from kyrochat.db.states import DocumentStatus
from kyrochat.retrieval.chunking import FILLED_CHUNK_CHARS
from kyrochat.retrieval.repository import chunk_count
from kyrochat.runtime import Runtime, running
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings

ROOT = Path(__file__).parents[1]
TEXTS = ROOT / "tests" / "journey" / "documents"
PDF = ROOT / "tests" / "documents" / "corpus" / "files" / "handbook.pdf"
BASELINE_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
WORKERS = 2


def _prose(number: int) -> str:
    """About 200 KB that no other number has."""
    whole = "\n\n".join(path.read_text("utf-8") for path in sorted(TEXTS.glob("*.md")))
    paragraphs = [f"{number}.{place}. {text}" for place, text in enumerate(whole.split("\n\n"))]
    text = "\n\n".join(paragraphs)
    return (text * (200_000 // len(text) + 1))[:200_000]


def _text(number: int) -> bytes:
    return _prose(number).encode()


def _html(number: int) -> bytes:
    body = "".join(f"<p>{text}</p>\n" for text in _prose(number).split("\n\n"))
    menu = "<nav><ul>" + "<li><a href='/x'>Menu</a></li>" * 40 + "</ul></nav>"
    return f"<html><head><title>Page {number}</title></head><body>{menu}<main>{body}</main></body></html>".encode()


def _pdf(number: int) -> bytes:
    # What comes after the end of a PDF is not read, and makes another file of it.
    return PDF.read_bytes() + f"\n% {number}\n".encode()


SETS: dict[str, tuple[int, Callable[[int], bytes]]] = {"text": (25, _text), "html": (25, _html), "pdf": (60, _pdf)}


@dataclass(frozen=True)
class Figures:
    """What one pipeline did to one set of files."""

    seconds: float
    chunks: int
    peak_bytes: int

    def line(self, name: str, size: int) -> str:
        rate = f"{size / 1e6 / self.seconds:6.2f} MB/s {self.chunks / self.seconds:8,.0f} chunks/s"
        return (
            f"  {name:10} {self.seconds:6.2f} s {rate} {self.chunks:7,} chunks, peak {self.peak_bytes / 1e6:4.0f} MB\n"
        )


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


async def kyrochat(runtime: Runtime, files: Sequence[tuple[str, bytes]], name: str) -> Figures:
    """Add all files and wait for the last one."""
    accounts, documents = runtime.services.accounts, runtime.services.documents
    [viewer] = await accounts.local_viewers()
    bot = await runtime.services.bots.create(viewer, None, {"name": name})
    peak = 0
    began_at = time.perf_counter()
    for file_name, data in files:
        await documents.add_file(viewer, bot.id, file_name, None, _once(data))
    states = documents.ingestion_progress(viewer, bot.id, until_idle=True)
    async with aclosing(states):
        async for _ in states:
            peak = max(peak, _resident())
    took_s = time.perf_counter() - began_at
    end = await documents.ingestion(viewer, bot.id)
    assert set(end.counts) == {DocumentStatus.READY}, end.counts
    async with runtime.database.begin(viewer.workspaces) as session:
        chunks = await chunk_count(session, bot.id)
    return Figures(took_s, chunks, peak)


def langchain(directory: Path) -> Figures | None:
    """Run the baseline, if `make bench` has made its environment."""
    if not BASELINE_PYTHON.exists():
        return None
    script = Path(__file__).with_name("langchain_pipeline.py")
    command = [str(BASELINE_PYTHON), str(script), str(directory), str(FILLED_CHUNK_CHARS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def _folder(directory: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    directory.mkdir()
    for name, data in files:
        (directory / name).write_bytes(data)
    return directory


async def main() -> None:
    """Print the figures of each kind of file."""
    with tempfile.TemporaryDirectory(prefix="kyrochat-bench-") as place:
        settings = Settings(data_dir=Path(place) / "data", workers=WORKERS, rate_limits=Switch.OFF)
        async with database_access(settings) as access, running(settings, access) as runtime:
            await runtime.services.registration.register("bench@example.com", "correct horse battery staple", NOWHERE)
            for name, (count, make) in SETS.items():
                suffix = "txt" if name == "text" else name
                files = [(f"{number:03}.{suffix}", make(number)) for number in range(count)]
                size = sum(len(data) for _, data in files)
                directory = _folder(Path(place) / name, files)
                sys.stdout.write(f"{name}: {count} files, {size / 1e6:.1f} MB\n")
                ours, theirs = await kyrochat(runtime, files, name), await asyncio.to_thread(langchain, directory)
                sys.stdout.write(ours.line("KyroChat", size))
                if theirs is None:
                    sys.stdout.write("  LangChain: run `make bench`, which makes its environment\n")
                    continue
                sys.stdout.write(theirs.line("LangChain", size))
                sys.stdout.write(
                    f"  ratio      {theirs.seconds / ours.seconds:.2f} of its speed, on disk and in a jail\n"
                )


if __name__ == "__main__":
    asyncio.run(main())
