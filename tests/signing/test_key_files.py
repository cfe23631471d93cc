"""There is one secret key however many processes start, nobody else can read it, and it can be changed."""

import os
import subprocess
import sys
from hashlib import sha512
from pathlib import Path

import pytest

from kyrochat.errors import ConfigurationError
from kyrochat.settings import Settings
from kyrochat.signing.key_files import rotate_key, secret_keys
from kyrochat.signing.keys import SecretKeys

GIVEN = "2f3a86c0d1e94b57a86f20e7b1c5d493"
# Ends with a new line, and is no text.
BINARY = sha512(b"7").digest() + b"\n"
OTHER = "a86f20e7b1c5d4932f3a86c0d1e94b57"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a data directory that has its key."""
    made = Settings(data_dir=tmp_path / "data")
    secret_keys(made)
    return made


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
    path.chmod(mode)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_the_key_is_made_once_and_for_our_eyes_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new" / "data")

    keys = secret_keys(settings)

    path = tmp_path / "new" / "data" / "secret.key"
    assert path.read_bytes() == keys.current
    assert (len(keys.current), keys.previous) == (64, None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == ["secret.key"]
    assert secret_keys(settings) == keys
    assert secret_keys(Settings(data_dir=tmp_path / "other")).current != keys.current


def test_eight_processes_that_start_at_once_have_the_same_secret(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from kyrochat.settings import Settings;"
        "from kyrochat.signing.key_files import secret_keys;"
        "settings = Settings(data_dir=Path(sys.argv[1]));"
        "print('ready', flush=True); sys.stdin.readline(); print(secret_keys(settings).current.decode())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "data")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    secrets = {process.communicate(timeout=30)[0].strip() for process in processes}

    assert len(secrets) == 1
    assert len(secrets.pop()) == 64
    path = tmp_path / "data" / "secret.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == ["secret.key"]


@pytest.mark.parametrize("name", ["secret.key", "secret.key.previous"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused_with_the_remedy(settings: Settings, name: str, mode: int) -> None:
    rotate_key(settings)
    (settings.data_dir / name).chmod(mode)

    with pytest.raises(ConfigurationError, match=rf"chmod 600 .*/{name}$"):
        secret_keys(settings)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give a file to somebody else")
def test_a_key_that_belongs_to_somebody_else_is_refused(settings: Settings) -> None:
    os.chown(settings.data_dir / "secret.key", 12_345, -1)

    with pytest.raises(ConfigurationError, match=r"belongs to another user \(id 12345\)"):
        secret_keys(settings)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret.key", 0o600)

    with pytest.raises(ConfigurationError, match=r"secret.key is no file"):
        secret_keys(Settings(data_dir=tmp_path))


def test_a_data_directory_that_cannot_be_made_is_told_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="Set KYROCHAT_SECRET_KEY"):
        secret_keys(Settings(data_dir=tmp_path / "file" / "data"))


@pytest.mark.parametrize(
    ("key", "why"), [("hunter2", "is shorter than 32 bytes"), ("x" * 64, "is not random"), ("change-me" * 9, "looks")]
)
def test_a_weak_key_is_refused_wherever_it_comes_from(tmp_path: Path, key: str, why: str) -> None:
    write(tmp_path / "secret.key", key.encode())
    by_file = Settings(data_dir=tmp_path)
    by_name = Settings(data_dir=tmp_path, secret_key=key)
    by_name_of_previous = Settings(data_dir=tmp_path, secret_key=GIVEN, secret_key_previous=key)

    for settings, name in (
        (by_file, str(tmp_path / "secret.key")),
        (by_name, "KYROCHAT_SECRET_KEY "),
        (by_name_of_previous, "KYROCHAT_SECRET_KEY_PREVIOUS "),
    ):
        with pytest.raises(ConfigurationError, match=why) as refused:
            secret_keys(settings)
        assert name in refused.value.message
        assert key not in refused.value.message
    assert (tmp_path / "secret.key").read_bytes() == key.encode()


def test_a_given_key_goes_before_the_files(settings: Settings) -> None:
    rotate_key(settings)

    given = settings.model_copy(update={"secret_key": Settings(secret_key=GIVEN).secret_key})

    assert secret_keys(given) == SecretKeys(GIVEN.encode())
    both = Settings(data_dir=settings.data_dir, secret_key=GIVEN, secret_key_previous=OTHER)
    assert secret_keys(both) == SecretKeys(GIVEN.encode(), OTHER.encode())


def test_a_new_line_at_the_end_of_a_text_is_no_part_of_the_key(tmp_path: Path) -> None:
    write(tmp_path / "secret.key", GIVEN.encode() + b"\r\n")
    write(tmp_path / "secret.key.previous", BINARY)

    keys = secret_keys(Settings(data_dir=tmp_path))

    assert keys == SecretKeys(GIVEN.encode(), BINARY)


def test_a_rotation_makes_a_new_key_and_keeps_the_old_one(settings: Settings) -> None:
    before = secret_keys(settings)

    previous = rotate_key(settings)

    after = secret_keys(settings)
    assert after == SecretKeys(after.current, before.current)
    assert after.current != before.current
    assert previous == settings.data_dir / "secret.key.previous"
    assert [path.stat().st_mode & 0o777 for path in sorted(settings.data_dir.iterdir())] == [0o600, 0o600]
    assert names(settings.data_dir) == ["secret.key", "secret.key.previous"]
    previous.unlink()
    assert secret_keys(settings) == SecretKeys(after.current)


def test_a_second_rotation_waits_for_the_end_of_the_first(settings: Settings) -> None:
    rotate_key(settings)
    keys = secret_keys(settings)

    with pytest.raises(ConfigurationError, match=r"secret.key.previous is still there"):
        rotate_key(settings)

    assert secret_keys(settings) == keys
    assert names(settings.data_dir) == ["secret.key", "secret.key.previous"]


def test_a_rotation_that_was_cut_short_is_as_if_it_had_not_begun(settings: Settings) -> None:
    keys = secret_keys(settings)
    os.link(settings.data_dir / "secret.key", settings.data_dir / "secret.key.previous")

    assert secret_keys(settings) == keys
    rotate_key(settings)

    assert secret_keys(settings).previous == keys.current


def test_what_is_not_kept_in_a_file_cannot_be_rotated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KYROCHAT_SECRET_KEY_PREVIOUS"):
        rotate_key(Settings(data_dir=tmp_path, secret_key=GIVEN))
    with pytest.raises(ConfigurationError, match="no key in"):
        rotate_key(Settings(data_dir=tmp_path))

    assert names(tmp_path) == []
