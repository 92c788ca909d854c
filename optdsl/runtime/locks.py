"""Locks between processes that the kernel lets go of when their holder ends, however it ends.

A lock is held on an open file, and the file itself means nothing: one that is left behind by a killed process holds
nobody up, and the next holder removes it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_UNSUPPORTED = {
    getattr(errno, name, None) for name in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL")
}  # as on some network file systems
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)


@contextmanager
def held(path: str, patience: float) -> Iterator[bool]:
    """Hold the lock of a name; give False where it isn't had within some seconds, or can't be had at all.

    Waits in short naps, so that Ctrl-C is heard and a holder that hangs is given up. Raises OSError where the file
    can't be made.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield False
        return
    until = time.monotonic() + patience
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    while True:
        descriptor = os.open(path, flags, 0o600)
        try:
            got = _wait(descriptor, until)
            if got and not _is_at(descriptor, path):
                continue  # its last holder has removed it: the lock that counts is on another file by now
            try:
                yield got
            finally:
                if got:
                    with suppress(OSError):
                        os.unlink(path)
                    # A process that was forked meanwhile has the same open file: closing it here isn't enough.
                    with suppress(OSError):
                        fcntl.flock(descriptor, fcntl.LOCK_UN)
            return
        finally:
            os.close(descriptor)


def _wait(descriptor: int, until: float) -> bool:
    """Return whether a file could be locked by some time."""
    import fcntl

    for number in range(10**9):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNSUPPORTED or time.monotonic() >= until:
                return False
            time.sleep(_PAUSES[min(number, len(_PAUSES) - 1)])
        else:
            return True
    return False


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False
