"""The jail: the child dies, with all that it started, and the server and its other uploads go on."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kyrochat.documents.extraction import Extracted, Extractor, Limits
from kyrochat.errors import UnreadableDocument
from tests.documents.jail_scene import alive, children, in_linux, script, until

__all__ = ["script"]

pytestmark = in_linux


FAMILY = """
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
os.write(report, f"{os.getpid()} {grandchild.pid}".encode())
time.sleep(600)
"""


def family_script(script: Callable[[str], tuple[str, ...]], report: Path) -> tuple[str, ...]:
    # The jail forbids files, so the report is opened before it closes.
    arguments = script(FAMILY)
    path = Path(arguments[0])
    code = path.read_text().replace(
        "def parse", f"report = os.open({str(report)!r}, os.O_RDWR | os.O_CREAT)\ndef parse"
    )
    # And it forbids to fork, unless for root; both are lifted here, so that the kill has something to do.
    code = code.replace("parse_child.main(", "jail._lower = lambda *_: None\nparse_child.main(")
    path.write_text(code)
    return arguments


async def test_a_child_that_hangs_is_killed_with_its_grandchildren(
    script: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    report = tmp_path / "pids"
    extractor = Extractor(Limits(wall_s=1.5), child=family_script(script, report))
    before = children()

    with pytest.raises(UnreadableDocument) as refusal:
        await extractor.extract(b"<p>x</p>", "text/html")

    assert refusal.value.message == "The file took more than 1.5 s to read. Split it into smaller files."
    child, grandchild = map(int, report.read_text().split())
    assert not alive(child)
    await until(lambda: not alive(grandchild) or "State:\tZ" in Path(f"/proc/{grandchild}/status").read_text())
    assert children() == before


async def test_cancelling_the_caller_kills_and_reaps_the_child(
    script: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    report = tmp_path / "pids"
    extractor = Extractor(child=family_script(script, report))
    before = children()
    reading = asyncio.create_task(extractor.extract(b"<p>x</p>", "text/html"))
    await until(lambda: report.exists() and len(report.read_text().split()) == 2)
    child, grandchild = map(int, report.read_text().split())

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert not alive(child)
    await until(lambda: not alive(grandchild) or "State:\tZ" in Path(f"/proc/{grandchild}/status").read_text())
    assert children() == before


async def test_cancelling_at_any_moment_leaves_no_child(script: Callable[[str], tuple[str, ...]]) -> None:
    extractor = Extractor(child=script("time.sleep(600)"))
    before = children()

    for turns in range(0, 60, 3):
        reading = asyncio.create_task(extractor.extract(b"<p>x</p>", "text/html"))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    await until(lambda: children() == before)


TOO_BIG = "The file took more than 1024 MiB of memory to read. Split it into smaller files."
DAMAGED = "The file could not be read; it may be damaged. Save it anew or as plain text."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os.abort()", TOO_BIG),
        ("os.kill(os.getpid(), signal.SIGKILL)", TOO_BIG),
        ("os.kill(os.getpid(), signal.SIGSEGV)", DAMAGED),
        ("os._exit(0)", DAMAGED),
        ("os.write(1, b'{}')\nos._exit(3)", DAMAGED),
        ("os.write(1, b'no json')\nos._exit(0)", DAMAGED),
        ("os.write(1, b'[1]')\nos._exit(0)", DAMAGED),
        ("os.write(1, b'{\"strange\": 1}')\nos._exit(0)", DAMAGED),
        ("raise RecursionError", "The file is nested too deeply to read. Save it as plain text and upload that."),
    ],
)
async def test_a_crash_has_a_plain_reason(script: Callable[[str], tuple[str, ...]], body: str, message: str) -> None:
    with pytest.raises(UnreadableDocument) as refusal:
        await Extractor(child=script(body)).extract(b"<p>x</p>", "text/html")

    assert refusal.value.message == message


async def test_an_unexpected_exception_is_logged_by_its_type_only(
    script: Callable[[str], tuple[str, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    extractor = Extractor(child=script("raise ZeroDivisionError(data.decode())"))

    with caplog.at_level(logging.DEBUG, "kyrochat"), pytest.raises(UnreadableDocument) as refusal:
        await extractor.extract(b"<p>secret</p>", "text/html")

    assert refusal.value.message == DAMAGED
    assert [record.getMessage() for record in caplog.records] == ["Reading a document failed: ZeroDivisionError."]


async def test_no_more_children_run_at_once_than_there_are_slots(
    script: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    waits = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    body = f"{waits}\nreturn Extracted('done', markdown=False)"
    extractor = Extractor(slots=asyncio.Semaphore(2), child=script(body))
    before = children()
    most = 0

    def running() -> int:
        nonlocal most
        most = max(most, len(children() - before))
        return len(children() - before)

    readings = [asyncio.create_task(extractor.extract(b"<p>x</p>", "text/html")) for _ in range(6)]
    await until(lambda: running() == 2)
    readings[-1].cancel()  # one that still waits
    gate.touch()
    await until(lambda: running() >= 0 and all(reading.done() for reading in readings))

    assert [reading.result().text for reading in readings[:5]] == ["done"] * 5
    assert readings[5].cancelled()
    assert most == 2


async def test_small_texts_pass_while_all_slots_are_taken(script: Callable[[str], tuple[str, ...]]) -> None:
    extractor = Extractor(slots=asyncio.Semaphore(1), child=script("time.sleep(600)"))
    stuck = asyncio.create_task(extractor.extract(b"<p>x</p>", "text/html"))
    await until(extractor.slots.locked)

    assert await extractor.extract(b"quick", "text/plain") == Extracted("quick", markdown=False)

    stuck.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stuck


def test_a_killed_server_leaves_no_child(tmp_path: Path, script: Callable[[str], tuple[str, ...]]) -> None:
    import subprocess

    # Told through a file opened before the jail closes, as above.
    report = tmp_path / "pid"
    arguments = script("os.write(report, str(os.getpid()).encode())\ntime.sleep(600)")
    path = Path(arguments[0])
    code = path.read_text().replace(
        "def parse", f"report = os.open({str(report)!r}, os.O_RDWR | os.O_CREAT)\ndef parse"
    )
    path.write_text(code.replace("parse_child.main(", "jail._lower = lambda *_: None\nparse_child.main("))
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio, sys\nfrom kyrochat.documents.extraction import Extractor\n"
            "asyncio.run(Extractor(child=(sys.argv[1],)).extract(b'<p>x</p>', 'text/html'))",
            arguments[0],
        ],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        deadline = time.monotonic() + 20
        while not (report.exists() and report.read_text()):
            assert time.monotonic() < deadline
            os.sched_yield()
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()

    assert not any(b"<p>x</p>" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    child = int(report.read_text())
    while alive(child) and "State:\tZ" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline
        os.sched_yield()
