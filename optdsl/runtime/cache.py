"""Compiled rules on disk, by the content that made them.

An entry is a folder named by a hash of everything that went into it. It is written in `.work`, under a lock that the
kernel lets go of when its holder ends, and moved into place in one rename, so that it is there whole or not at all. Its
files are read once, checked against the hashes of the manifest, which also names the entry, and loaded from what was
read; a library, which only the system can load, from the folder that is held open. The cache belongs to its user alone:
a folder or file that others could have changed isn't used.
"""

from __future__ import annotations

import hashlib
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from optdsl.runtime import private
from optdsl.runtime.entries import WORK, Entries, built
from optdsl.runtime.entries import CacheUnusable as CacheUnusable
from optdsl.runtime.entries import Entry as Entry

Result = TypeVar("Result")


def folder() -> Path:
    """Return the cache folder: `OPTDSL_CACHE_DIR`, else the user's cache directory.

    Raises CacheUnusable for one that depends on the current folder, in which strangers' files may lie.
    """
    path = os.environ.get("OPTDSL_CACHE_DIR", "").strip()
    if not path:
        import platformdirs

        path = platformdirs.user_cache_dir("optdsl", appauthor=False)
    if not os.path.isabs(path):
        raise CacheUnusable(f"the cache folder {path} is not an absolute path; set OPTDSL_CACHE_DIR to one")
    return Path(path)


@cache
def processor() -> str:
    """Return what tells one kind of processor from another: code built for one may not run on the other."""
    parts = [platform.machine(), platform.system()]
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            wanted = ("model name", "flags", "Features", "CPU part")
            for line in file:
                if line.startswith(wanted):
                    parts.append(line.strip())
                if not line.strip():
                    break
    except OSError:
        parts.append(platform.processor())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def key(**parts: str) -> str:
    """Return the name of the entry made from some parts."""
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:40]


@contextmanager
def opened(make: bool = False) -> Iterator[Entries]:
    """Open the cache, and make its folder where it may. Raises CacheUnusable."""
    root = folder()
    with ExitStack() as stack:
        try:
            if make:
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
            at = stack.enter_context(private.opened(str(root)))
        except (NotADirectoryError, FileExistsError) as error:
            raise CacheUnusable(f"the cache folder {root} is not a folder, or a link to one") from error
        except private.NotPrivate as error:
            raise CacheUnusable(f"the cache folder {root} {error}") from error
        except OSError as error:
            raise CacheUnusable(f"the cache folder {root} can't be opened: {error.strerror or error}") from error
        yield Entries(root, at)


def contents(name: str) -> dict[str, bytes] | None:
    """Return the files of an entry where all of them are whole, else None. Never raises for a broken entry."""
    try:
        with opened() as entries:
            return entries.get(name)
    except CacheUnusable:
        return None


def obtain(
    name: str, texts: Callable[[], Mapping[str, str]], load: Callable[[Entry], Result],
    build: Callable[[Path], Sequence[str]] | None = None, patience: float = 60.0,
) -> Result:  # fmt: skip
    """Return what is loaded from an entry, which is made where it isn't there, by one process of those that want it.

    Args:
        name: The name of the entry, from `key`.
        texts: Makes the text of each of its files.
        load: Makes the result. An entry that it can't load (OSError) is made again, once.
        build: Makes more files in a folder that has the texts, and returns their names.
        patience: Seconds to wait for another process that makes the same entry.

    Where the cache can't be used, a warning says why, once, and the files are made in memory, or in a temporary folder
    where there is something to build. Raises CacheUnusable where that can't be had either, and what the functions
    raise.
    """
    once = cache(texts)
    try:
        with opened(make=True) as entries:
            entries.sweep()
            found = entries.get(name)
            if found is not None:
                try:
                    return load(entries.entry(name, found))
                except OSError:  # thrown out meanwhile, or built for another C library than is here
                    entries.discard(name)
            return load(entries.make(name, once, build, patience))
    except CacheUnusable as error:
        warn(error)
        return _outside(once(), load, build, error)


def _outside(
    texts: Mapping[str, str], load: Callable[[Entry], Result], build: Callable[[Path], Sequence[str]] | None,
    cause: CacheUnusable,
) -> Result:  # fmt: skip
    """Return what is loaded from files that aren't kept."""
    if build is None:
        return load(Entry({file: text.encode() for file, text in texts.items()}, "", None))
    from tempfile import TemporaryDirectory

    with ExitStack() as stack:
        try:
            outside = stack.enter_context(TemporaryDirectory(prefix="optdsl-", ignore_cleanup_errors=True))
            files = built(Path(outside), texts, build)
        except OSError as error:
            raise CacheUnusable(f"{cause}; nor can a temporary folder be used: {error.strerror or error}") from error
        return load(Entry(files, outside, None))


def expect_usable() -> None:
    """Warn where the cache can't be used."""
    try:
        with opened(make=True):
            pass
    except CacheUnusable as error:
        warn(error)


def warn(error: OSError) -> None:
    """Say why the cache isn't used, once for each cause."""
    message = f"{error}; rules are compiled again in each process"
    if message not in _said:
        _said.add(message)
        warnings.warn(message, RuntimeWarning, stacklevel=3)


_said: set[str] = set()


def remembered(name: str, file: str, tell: Callable[[], str]) -> str:
    """Return the text of an entry of one file, made where it isn't there. Without a cache it is made each time."""
    texts = cache(lambda: {file: tell()})
    try:
        with opened(make=True) as entries:
            return (entries.get(name) or entries.make(name, texts).files)[file].decode()
    except CacheUnusable:
        return texts()[file]


def remember(name: str, file: str, text: str) -> None:
    """Make an entry of one file. What can't be remembered, because there is no cache, is worked out again."""
    with suppress(CacheUnusable), opened(make=True) as entries:
        entries.make(name, lambda: {file: text})


def clear() -> int:
    """Remove everything this program put into the cache; return how many entries that were. Raises CacheUnusable."""
    if not folder().exists():
        return 0
    with opened() as entries:
        names = entries.names()
        for name in names:
            entries.discard(name)
        entries.sweep()
        with suppress(OSError):
            os.rmdir(f"{entries.at}/{WORK}")
    return len(names)
