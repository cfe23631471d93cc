"""Locks between processes that the kernel frees, however their holder ends."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

POLL_S = 0.005


@dataclass(slots=True)
class FileLock:
    """A held `flock`; it belongs to the open file, so two holders in one process exclude each other too.

    A child process that inherits `descriptor` holds the lock as well: it is free when the last of them has ended.
    """

    descriptor: int

    @classmethod
    def try_acquire(cls, path: Path, *, shared: bool = False) -> "FileLock | None":
        """Return the lock, or None when somebody holds it in a way that excludes us."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def acquire(cls, path: Path, *, shared: bool = False, timeout_s: float) -> "FileLock":
        """Return the lock as soon as it is free.

        Raises:
            TimeoutError: it was not free for `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while (lock := cls.try_acquire(path, shared=shared)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path.name} has been held by another process for {timeout_s:.0f} s")
            time.sleep(POLL_S)
        return lock

    @property
    def is_held(self) -> bool:
        """Whether it has not been released yet."""
        return self.descriptor >= 0

    def release(self) -> None:
        """Give up this holder's part; doing so twice is harmless.

        Closing, not unlocking: unlocking would also end the hold of the children that inherited it.
        """
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
