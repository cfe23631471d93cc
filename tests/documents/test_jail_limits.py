"""What a child in the jail may take and reach, and what is said of one that wants more."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kyrochat.documents.extraction import Extractor, Limits
from kyrochat.errors import UnreadableDocument
from tests.documents.jail_scene import children, in_linux, resident_mib, script

__all__ = ["script"]

pytestmark = in_linux


async def test_a_memory_bomb_is_stopped_and_named(script: Callable[[str], tuple[str, ...]]) -> None:
    extractor = Extractor(Limits(memory_bytes=256 << 20), child=script("return bytearray(1 << 32)"))
    before = resident_mib()

    with pytest.raises(UnreadableDocument) as refusal:
        await extractor.extract(b"<p>x</p>", "text/html")

    assert refusal.value.message == "The file took more than 256 MiB of memory to read. Split it into smaller files."
    assert resident_mib() - before < 50


async def test_where_the_system_does_not_stop_it_the_server_watches_a_child_s_memory(
    script: Callable[[str], tuple[str, ...]],
) -> None:
    arguments = script("held = bytearray(b'x' * (200 << 20))\ntime.sleep(600)")
    path = Path(arguments[0])
    path.write_text(path.read_text().replace("parse_child.main(", "jail._lower = lambda *_: None\nparse_child.main("))
    extractor = Extractor(Limits(memory_bytes=128 << 20), child=arguments, watch_memory=True)
    before = children()

    with pytest.raises(UnreadableDocument) as refusal:
        await extractor.extract(b"<p>x</p>", "text/html")

    assert refusal.value.message == "The file took more than 128 MiB of memory to read. Split it into smaller files."
    assert children() == before


async def test_a_watched_child_that_keeps_to_its_memory_is_left_alone() -> None:
    assert (await Extractor(watch_memory=True).extract(b"<p>Hello</p>", "text/html")).text == "Hello"


@pytest.mark.parametrize("body", ["while True: pass", "while True: data.strip()"])
async def test_a_child_that_computes_for_ever_is_stopped_and_named(
    script: Callable[[str], tuple[str, ...]], body: str
) -> None:
    extractor = Extractor(Limits(cpu_s=1), child=script(body))

    with pytest.raises(UnreadableDocument) as refusal:
        await extractor.extract(b"<p>x</p>", "text/html")

    assert refusal.value.message == "The file took more than 1 s of computing to read. Split it into smaller files."


@pytest.mark.parametrize(
    "body",
    [
        "return Extracted('x' * 5000, markdown=False)",  # honest, the child says so itself
        "os.write(1, b'x' * 100_000)\nos._exit(0)",  # a broken one
        "while True: os.write(1, b'x' * 65536)",
    ],
)
async def test_an_output_bomb_is_cut(script: Callable[[str], tuple[str, ...]], body: str) -> None:
    extractor = Extractor(Limits(max_chars=1000), child=script(body))
    before = resident_mib()

    with pytest.raises(UnreadableDocument) as refusal:
        await extractor.extract(b"<p>x</p>", "text/html")

    assert (
        refusal.value.message == "The document holds more than 1,000 characters of text. Split it into smaller files."
    )
    assert resident_mib() - before < 20


JAIL_REPORT = """
import resource
import ctypes
names = ("AS", "CPU", "FSIZE", "CORE", "NOFILE", "NPROC")
limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0] for name in names}
try:
    wrote = os.write(os.open("written", os.O_WRONLY | os.O_CREAT), b"x")
except OSError:
    wrote = 0
found = {
    "environment": sorted(set(os.environ) - {"LC_CTYPE"}),
    "limits": limits,
    "wrote": wrote,
    "leader": os.getsid(0) == os.getpid(),
    "no new privileges": ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),
}
return Extracted(json.dumps(found), markdown=False)
"""


async def test_the_jail_is_closed(script: Callable[[str], tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setenv("KYROCHAT_SECRET_KEY", "secret")

    told = await Extractor(child=script(JAIL_REPORT)).extract(b"<p>x</p>", "text/html")

    assert json.loads(told.text) == {
        "environment": [],
        "limits": {"AS": 1 << 30, "CPU": 20, "FSIZE": 0, "CORE": 0, "NOFILE": 64, "NPROC": 0},
        "wrote": 0,
        "leader": True,
        "no new privileges": 1,
    }


async def test_the_jail_has_no_view_of_the_server_s_files_where_the_system_permits_that(
    script: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    probe = "import ctypes, sys; from kyrochat.documents.landlock import close_surroundings"
    probe += "; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0); sys.exit(not close_surroundings(['/usr']))"
    if await (await asyncio.create_subprocess_exec(sys.executable, "-c", probe)).wait():
        pytest.skip("this system closes no files")
    secret = tmp_path / "secret"
    secret.write_text("of the server")
    body = "try:\n    return Extracted(open(data.decode()).read(), markdown=False)\n"
    body += "except OSError as error:\n    return Extracted(type(error).__name__, markdown=False)"

    told = await Extractor(child=script(body)).extract(str(secret).encode(), "text/html")

    assert told.text == "PermissionError"


CONNECTING = """
import ctypes, socket
try:
    socket.create_connection(("127.0.0.1", int(data)), timeout=5).close()
    return Extracted("connected", markdown=False)
except OSError as error:
    return Extracted(type(error).__name__, markdown=False)
"""


async def test_the_jail_has_no_network_where_the_system_permits_that(script: Callable[[str], tuple[str, ...]]) -> None:
    probe = "import ctypes, sys; sys.exit(bool(ctypes.CDLL(None).unshare(0x40000000)))"
    if await (await asyncio.create_subprocess_exec(sys.executable, "-c", probe)).wait():
        pytest.skip("this system lets nobody leave its network")
    met = asyncio.Event()

    def meet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set()
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = await Extractor(child=script(CONNECTING)).extract(str(port).encode(), "text/html")

    assert told.text in ("OSError", "PermissionError")  # there is no network, or it is closed
    assert not met.is_set()
