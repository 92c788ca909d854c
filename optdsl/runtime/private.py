"""Folders and files that nobody but this user can have changed.

What is judged is what was opened, not what a path leads to a moment later: a folder is named by its descriptor while it
is in use, where the system can do that, so that nobody who may write to a folder above it can put another in its place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""A pipe is opened without waiting for somebody to write to it, and a link isn't followed."""


class NotPrivate(OSError):
    """Somebody else could have changed a file or a folder; the message says how."""


def _judge(state: os.stat_result) -> None:
    """Refuse what belongs to another user or can be written to by others."""
    if os.name != "posix":
        return
    if state.st_uid != os.geteuid():
        raise NotPrivate("belongs to another user")
    if state.st_mode & 0o022:
        raise NotPrivate("can be written to by others; run `chmod go-w` on it")


@contextmanager
def opened(path: str) -> Iterator[str]:
    """Give a name of a private folder that stays its own, whatever becomes of its path.

    Raises NotPrivate, NotADirectoryError for anything but a folder, links to one included, and other OSErrors.
    """
    if os.name != "posix":
        os.scandir(path).close()
        yield path
        return
    descriptor = os.open(path, os.O_RDONLY | _FOLDER)
    try:
        state = os.fstat(descriptor)
        _judge(state)
        pinned = f"/proc/self/fd/{descriptor}"
        try:
            there = os.path.samestat(os.stat(f"{pinned}/."), state)
        except OSError:
            there = False
        yield pinned if there else path
    finally:
        os.close(descriptor)


def read(path: str, most: int) -> bytes:
    """Return the bytes of a private file, of which there may be `most`.

    Raises NotPrivate, also for a file with two names and for what isn't a file; ValueError for one that is too long or
    grows meanwhile; and other OSErrors. Never waits. It asks for the memory that the file takes and not for `most`.
    """
    descriptor = os.open(path, os.O_RDONLY | _FILE)
    with open(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise NotPrivate("is not a file")
        _judge(state)
        if os.name == "posix" and state.st_nlink != 1:
            raise NotPrivate("has another name somewhere")
        size = min(state.st_size, most)
        data = b"" if state.st_size > most else file.read(size + 1)
    if state.st_size > most or len(data) > size:
        raise ValueError(f"{path} is longer than {size} bytes")
    return data


def write(path: str, data: bytes) -> None:
    """Write a file that only its owner can read or write, and that wasn't there before. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
