"""Waiting for files to change, for `optdsl check --watch`.

Files are looked at a few times a second. That needs no library, works on every file system (network folders and
containers report no changes), and sees a file that an editor replaces by renaming another over it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

PAUSE = 0.25
"""Seconds between two looks."""

Stamp: TypeAlias = tuple[int, int, int]
Stamps: TypeAlias = dict[Path, Stamp | None]


def stamps(names: Sequence[str], parts: Iterable[str] = ()) -> Stamps:
    """Return what changes with the files and folders `names`, and with the further files `parts` that they need.

    The rules beside a file count, too: it may be made from one of them, or make a claim about it.
    """
    paths = {Path(part) for part in parts}
    for path in map(Path, names):
        paths |= {path, *path.parent.glob("*.opt")} if not path.is_dir() else set(path.rglob("*.opt"))
    return {path: _stamp(path) for path in paths}


def wait(
    names: Sequence[str], parts: Sequence[str], before: Stamps, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Return once files differ from what they were `before` and have stopped changing."""
    now = stamps(names, parts)
    before = {path: before.get(path, stamp) for path, stamp in now.items()}
    while now == before:
        sleep(PAUSE)
        now = stamps(names, parts)
    settled = False
    while not settled:
        sleep(PAUSE)
        last, now = now, stamps(names, parts)
        settled = last == now


def _stamp(path: Path) -> Stamp | None:
    """Return what is different once a file was written or replaced, None where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
