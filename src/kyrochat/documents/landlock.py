"""Closing files, TCP and other processes to a process, where its kernel has Landlock (Linux 5.13 and newer)."""

import ctypes
import os
import stat
from collections.abc import Iterable

# Calls by number: the C library has no functions for them. They are the same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
# How many kinds of access each version of the interface knows, from the first on; all of them are closed.
_KINDS = (13, 14, 15, 15, 16)
_TCP_VERSION, _TCP = 4, 0b11  # binding and connecting
_SCOPE_VERSION, _SCOPE = 6, 0b11  # abstract sockets and signals of others


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def close_surroundings(readable: Iterable[str]) -> bool:
    """Let this process read what is below these paths and reach nothing else; return whether the kernel does that.

    Files that are open stay open. The process has given up new privileges before, or the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if version < 1:
        return False
    closed = _Ruleset(
        (1 << _KINDS[min(version, len(_KINDS)) - 1]) - 1,
        _TCP if version >= _TCP_VERSION else 0,
        _SCOPE if version >= _SCOPE_VERSION else 0,
    )
    # An older kernel takes a longer structure as long as what it does not know is zero.
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(closed), ctypes.c_size_t(ctypes.sizeof(closed)), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(libc, ruleset, path)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no permission
        return
    try:
        access = _EXECUTE | _READ_FILE | (_READ_DIR if stat.S_ISDIR(os.fstat(place).st_mode) else 0)
        rule = _PathBeneath(access, place)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(place)
