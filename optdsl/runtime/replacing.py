"""Files that are either the old one or the new one whole, at every moment and whatever happens.

The new one is written beside the old one, under a name of its own, and takes its place in one rename once it is on
disk. What a killed process left half written is removed by the next that writes to the same path. It is told from
what another process is writing at this moment by a lock, which the system takes back when a process ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows; nothing is locked there, and nothing that was left behind removed
    fcntl = None  # type: ignore[assignment]

CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
SEARCH = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def replacing(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Iterator[BinaryIO]:
    """Give a new file to write, which takes its place when the block ends and vanishes when it raises.

    A link keeps pointing where it points, and a file that is replaced hands its permissions on.

    Raises:
        OSError: With the path as its file name, where that can't be written to, the disk is full and so on.
        ValueError: The path is there and is not a regular file.
    """
    name = os.fsdecode(path)
    try:
        target, mode = _destination(name)
        _sweep(target)
        descriptor, temporary = _create(target, mode)
        with open(descriptor, "wb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
        _sync_folder(target.parent)
    except OSError as error:
        if error.errno is None or error.filename == name:
            raise
        # By the caller's name: of the one beside it nobody knows.
        raise OSError(error.errno, os.strerror(error.errno), name) from error


def _destination(name: str) -> tuple[Path, int | None]:
    """Return the file to replace, links followed, and its permissions, None where there is none yet."""
    if name.endswith(os.sep):  # which `realpath` would overlook
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    target = Path(os.path.realpath(name))
    try:
        status = target.stat()
    except FileNotFoundError:
        return target, None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name}: not a regular file, so it can't be replaced by one")
    if not os.access(target, os.W_OK):  # a rename would need no leave
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    return target, stat.S_IMODE(status.st_mode) & 0o777


def _start(target: Path) -> str:
    """Return how names beside a file begin. A name may have 255 bytes, and the rest has 22."""
    return "." + os.fsencode(target.name)[:100].decode(errors="ignore")


def _create(target: Path, mode: int | None) -> tuple[int, Path]:
    """Make a file beside another, and lock it for as long as it is open."""
    while True:
        temporary = target.with_name(f"{_start(target)}.{os.urandom(8).hex()}.tmp")
        # Opened by hand for the permissions every new file gets; tempfile's are for the owner alone.
        descriptor = os.open(temporary, CREATE, 0o666 if mode is None else mode & 0o666)
        if mode is not None and hasattr(os, "fchmod"):
            with contextlib.suppress(OSError):  # where a file system has no permissions, there is nothing to keep
                os.fchmod(descriptor, mode)
        # Between the two, another process may have taken it for a stale one.
        if not _lock(descriptor, wait=True) or os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)


def _lock(descriptor: int, wait: bool) -> bool:
    """Lock an open file, and return whether that worked: not every file system can, and another may have it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _sweep(target: Path) -> None:
    """Remove what processes that are no more have left beside a file."""
    ours = re.compile(re.escape(_start(target)) + r"\.[0-9a-f]{16}\.tmp")
    try:
        names = os.listdir(target.parent)
    except OSError:  # a folder to write in need not be one to list
        return
    for name in names:
        if ours.fullmatch(name):
            with contextlib.suppress(OSError):  # another may be quicker
                _remove_stale(target.with_name(name))


def _remove_stale(path: Path) -> None:
    descriptor = os.open(path, SEARCH)
    try:
        status = os.fstat(descriptor)
        mine = stat.S_ISREG(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())
        if mine and _lock(descriptor, wait=False):
            path.unlink()
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder last through a power failure, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some file systems can't, and some folders can't be opened; the file is whole
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
