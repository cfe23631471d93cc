"""The jail that the child locks itself into before it looks at a file."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000

# What parsers are made of. Not among it: the server's data, its secrets, and the rest of /etc.
_SYSTEM_FILES = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/openssl.cnf")


@dataclass(frozen=True, slots=True)
class JailLimits:
    """What the child may use; the wall clock is the parent's business."""

    memory_bytes: int
    cpu_s: int
    max_chars: int


class OutOfTime(BaseException):
    """The time for a costly way of reading is used up. No `Exception`, so that no library swallows it."""


def enter_jail(limits: JailLimits) -> None:
    """Give up memory, CPU, writing and privileges and, where the system permits it, other files and the network."""
    if sys.platform == "linux":
        _enter_linux_jail()
    with contextlib.suppress(ImportError):  # Windows has no such limits: there the wall clock is all
        import resource

        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_AS, limits.memory_bytes)
        _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)  # SIGXCPU first: it tells the reason
        _lower(resource.RLIMIT_FSIZE, 0)
        _lower(resource.RLIMIT_NOFILE, 64)
        _lower(resource.RLIMIT_NPROC, 0)  # root is not bound by it


def _lower(which: int, soft: int, hard: int | None = None) -> None:
    import resource

    _, ceiling = resource.getrlimit(which)
    pair = (soft, soft if hard is None else hard)
    if ceiling != resource.RLIM_INFINITY:
        pair = (min(pair[0], ceiling), min(pair[1], ceiling))
    with contextlib.suppress(ValueError, OSError):  # macOS refuses some of them; the others still hold
        resource.setrlimit(which, pair)


@contextlib.contextmanager
def half_of_the_time() -> Iterator[None]:
    """Raise `OutOfTime` inside when half of the CPU time that the jail has left is used up; no jail, no end."""
    left = _cpu_left_s()
    if left is None:
        yield
        return
    signal.signal(signal.SIGVTALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_VIRTUAL, max(left / 2, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _cpu_left_s() -> float | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_CPU)
    return None if soft == resource.RLIM_INFINITY else soft - time.process_time()


def _out_of_time(_signum: int, _frame: FrameType | None) -> None:
    raise OutOfTime


def _enter_linux_jail() -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a killed server leaves nothing running
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Both may be refused, in containers above all. A user namespace takes root's power over files
    # away, and this process has still to import its parsers: so root only tries the first.
    if libc.unshare(_CLONE_NEWNET) and os.geteuid() != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    from kyrochat.documents.landlock import close_surroundings

    close_surroundings([*_SYSTEM_FILES, sys.prefix, sys.base_prefix, *filter(os.path.isabs, sys.path)])
