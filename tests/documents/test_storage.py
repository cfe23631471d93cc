import asyncio
import hashlib
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from kyrochat.documents.storage import FileStore, Stored, open_store
from kyrochat.errors import ConfigurationError, InvalidInput

KEY = "0a1b/2c3d/1"
MIB = 1 << 20


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    return open_store(tmp_path / "files") if request.param == "directory" else FileStore(MemoryStore())


@pytest.fixture(autouse=True)
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where uploads are spooled, so that a test can see what is left there."""
    directory = tmp_path / "spools"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.mark.parametrize("pieces", [(b"bees", b" ", b"honey"), (b"",), (), (b"x" * MIB,) * 11])
async def test_what_was_put_is_got_with_its_size_and_hash(store: FileStore, pieces: tuple[bytes, ...]) -> None:
    whole = b"".join(pieces)

    stored = await store.put(KEY, chunks(*pieces), max_bytes=20 * MIB)

    assert stored == Stored(len(whole), hashlib.sha256(whole).digest())
    assert await store.get(KEY) == whole
    assert await store.exists(KEY)


async def test_a_file_of_exactly_the_limit_is_taken(store: FileStore) -> None:
    assert (await store.put(KEY, chunks(b"x" * MIB), max_bytes=MIB)).size == MIB


async def test_a_file_beyond_the_limit_is_refused_before_it_ends_and_leaves_nothing(
    tmp_path: Path, spools: Path
) -> None:
    store = open_store(tmp_path / "files")
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x" * (MIB // 2)

    with pytest.raises(InvalidInput) as refusal:
        await store.put(KEY, endless(), max_bytes=3 * MIB // 2)

    assert [(issue.path, issue.message) for issue in refusal.value.issues] == [
        (("file",), "A file has at most 1.5 MiB.")
    ]
    assert asked == 4
    assert files_below(tmp_path) == []
    assert not await store.exists(KEY)


async def test_a_producer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "files")

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (7 * MIB)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(KEY, broken(), max_bytes=20 * MIB)

    assert files_below(tmp_path) == []


async def test_a_cancelled_upload_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "files")
    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield b"x" * (7 * MIB)
        waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.put(KEY, stalled(), max_bytes=20 * MIB))
    await waiting.wait()
    assert not await store.exists(KEY)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload

    assert files_below(tmp_path) == []


async def test_a_refused_replacement_keeps_what_was_there(store: FileStore) -> None:
    await store.put(KEY, chunks(b"first"), max_bytes=10)

    with pytest.raises(InvalidInput):
        await store.put(KEY, chunks(b"second, longer"), max_bytes=10)

    assert await store.get(KEY) == b"first"


async def test_a_reader_sees_the_old_or_the_new_file_and_never_a_part(tmp_path: Path) -> None:
    store = open_store(tmp_path / "files")
    old, new = b"a" * (8 * MIB), b"b" * (8 * MIB)
    await store.put(KEY, chunks(old), max_bytes=9 * MIB)

    replacing = asyncio.create_task(store.put(KEY, chunks(new), max_bytes=9 * MIB))
    seen = []
    while not replacing.done():
        seen.append(await store.get(KEY))
        await asyncio.sleep(0)

    assert {bytes(content) for content in seen} <= {old, new}
    assert await store.get(KEY) == new


async def test_deleting_says_whether_something_was_there_and_may_be_repeated(store: FileStore) -> None:
    await store.put(KEY, chunks(b"x"), max_bytes=10)

    assert [await store.delete(KEY), await store.delete(KEY), await store.exists(KEY)] == [True, False, False]
    with pytest.raises(FileNotFoundError):
        await store.get(KEY)


async def test_a_prefix_is_whole_segments(store: FileStore) -> None:
    for key in ("0a/1/1", "0a/1/2", "0a/12/1", "0b/1/1"):
        await store.put(key, chunks(b"x"), max_bytes=10)

    assert await store.exists("0a/1/")
    assert await store.delete_prefix("0a/1/") == 2
    assert not await store.exists("0a/1/")
    assert await store.delete_prefix("0a/1") == 0
    assert [await store.exists("0a/12/1"), await store.exists("0b/1/1")] == [True, True]


@pytest.mark.parametrize(
    "key", ["", "/", "../x", "a/../b", "a//b", "/a", "a/", "A", "a\x00b", "a\n", "é", "a.b", "~", "a" * 65]
)
async def test_only_keys_that_the_server_makes_are_taken(store: FileStore, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        await store.put(key, chunks(b"x"), max_bytes=10)
    with pytest.raises(ValueError, match="hexadecimal"):
        await store.get(key)
    with pytest.raises(ValueError, match="hexadecimal"):
        await store.delete(key)

    assert files_below(tmp_path) == []


def test_the_directory_is_closed_to_other_users_even_if_it_was_open(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "files"
    root.mkdir(parents=True, mode=0o755)

    open_store(str(root))

    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(ConfigurationError, match=r"taken/files for documents cannot be used\. Make it writable"):
        open_store(tmp_path / "taken" / "files")


def test_buckets_are_opened_by_url_without_a_request() -> None:
    assert type(open_store("s3://bucket/prefix").store).__name__ == "S3Store"
    assert type(open_store("gs://bucket").store).__name__ == "GCSStore"


def test_a_url_of_no_known_kind_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match=r"ftp:// cannot be opened\. Use a directory, s3://bucket"):
        open_store("ftp://user:secret@host/files")


async def test_many_uploads_at_once_do_not_mix(store: FileStore) -> None:
    contents = {f"{number:x}/1": bytes([number]) * 100_000 for number in range(20)}

    await asyncio.gather(*(store.put(key, chunks(whole), max_bytes=MIB) for key, whole in contents.items()))

    assert {key: await store.get(key) for key in contents} == contents
