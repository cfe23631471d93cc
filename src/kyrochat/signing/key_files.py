"""Where the secret key comes from: the settings, or a file that is made at the first start."""

import os
import secrets
import stat
from pathlib import Path

from pydantic import SecretStr

from kyrochat.db.private_file import sync_directory
from kyrochat.errors import ConfigurationError
from kyrochat.settings import Settings
from kyrochat.signing.keys import SecretKeys, weakness

KEY_FILE, PREVIOUS_KEY_FILE = "secret.key", "secret.key.previous"
# In URL-safe letters, so that it can be copied into an environment variable.
NEW_KEY_BYTES = 48
MAX_KEY_BYTES = 4_096


def secret_keys(settings: Settings) -> SecretKeys:
    """Return the keys of the settings, or those kept in the data directory; a missing one is made.

    Raises:
        ConfigurationError: a key may be guessed, or others can get at its file.
    """
    path = settings.data_dir / KEY_FILE
    if settings.secret_key is not None:
        current = _given("KYROCHAT_SECRET_KEY", settings.secret_key)
    else:
        if not path.exists():
            _make_key(path)
        current = _read(path)
    previous = None
    if settings.secret_key_previous is not None:
        previous = _given("KYROCHAT_SECRET_KEY_PREVIOUS", settings.secret_key_previous)
    elif settings.secret_key is None and (kept := path.with_name(PREVIOUS_KEY_FILE)).exists():
        previous = _read(kept)
    # The same one twice is what an interrupted rotation leaves.
    return SecretKeys(current, previous if previous != current else None)


def rotate_key(settings: Settings) -> Path:
    """Put a new key in the place of the one in the data directory, keep that as the previous one, return its path.

    Raises:
        ConfigurationError: the key is not kept there, or an earlier rotation has not been finished.
    """
    if settings.secret_key is not None:
        raise ConfigurationError(
            "The key is set by KYROCHAT_SECRET_KEY. Set KYROCHAT_SECRET_KEY_PREVIOUS to its value and "
            "KYROCHAT_SECRET_KEY to a new one (openssl rand -hex 32), then restart all processes."
        )
    path = settings.data_dir / KEY_FILE
    previous = path.with_name(PREVIOUS_KEY_FILE)
    if not path.exists():
        raise ConfigurationError(f"There is no key in {settings.data_dir} yet. The first start of a server makes it.")
    if previous.exists() and previous.read_bytes() == path.read_bytes():
        previous.unlink()
    try:
        # A second name for the same file: there or not, and never over a key that is still believed.
        os.link(path, previous)
    except FileExistsError as error:
        raise ConfigurationError(
            f"An earlier rotation is not finished: {previous} is still there. Remove it when all servers have run "
            "with the current key for 20 minutes, which is longer than an access token lasts."
        ) from error
    draft = _draft(path)
    draft.replace(path)
    sync_directory(path.parent)
    return previous


def _given(name: str, value: SecretStr) -> bytes:
    key = value.get_secret_value().encode()
    if why := weakness(key):
        raise ConfigurationError(f"{name} {why}. Try: openssl rand -hex 32")
    return key


def _read(path: Path) -> bytes:
    """Return what is in the file. It is looked at through one descriptor, so that nobody can swap it meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}).") from error
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ConfigurationError(f"{path} is no file.")
        if os.name == "posix":
            _must_be_ours(path, about)
        key = file.read(MAX_KEY_BYTES)
    # Editors and `echo` end a text with a new line, environment variables do not: the key is the same.
    if key.isascii():
        key = key.rstrip(b"\r\n")
    if why := weakness(key):
        raise ConfigurationError(f"The key in {path} {why}. Remove it to get a new one.")
    return key


def _must_be_ours(path: Path, about: os.stat_result) -> None:
    if about.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{path} belongs to another user (id {about.st_uid}), who can change it. "
            f"Start the server as that user, or run: chown {os.geteuid()} {path}"
        )
    if about.st_mode & 0o077:
        raise ConfigurationError(f"Others can read {path}. Run: chmod 600 {path}")


def _make_key(path: Path) -> None:
    """Make the file, at once and whole: of processes that start together one is first, and its key holds for all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(path)
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        finally:
            draft.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise ConfigurationError(
            f"No key can be made in {path.parent} ({error.strerror}). Set KYROCHAT_SECRET_KEY, or choose another "
            "KYROCHAT_DATA_DIR."
        ) from error


def _draft(path: Path) -> Path:
    draft = path.with_name(f".secret-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(NEW_KEY_BYTES))
        file.flush()
        os.fsync(descriptor)
    return draft
