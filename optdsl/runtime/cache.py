"""Compiled rules on disk, by the content that made them.

An entry is a folder named by a hash of everything that went into it. It is written under another name and moved into
place in one rename, so that it is there whole or not at all, and its files are checked against their hashes before
anything of it is loaded. The cache folder belongs to its user alone; one that others could write to is not used.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

MANIFEST = "manifest.txt"
"""The hash of each file of an entry, as `sha256sum` writes them and checks them with `-c`."""


class CacheUnusable(OSError):
    """The cache folder can't be used; the message says why."""


def folder() -> Path:
    """Return the cache folder: `OPTDSL_CACHE_DIR`, else the user's cache directory."""
    asked = os.environ.get("OPTDSL_CACHE_DIR", "").strip()
    if asked:
        return Path(asked)
    import platformdirs

    return Path(platformdirs.user_cache_dir("optdsl", appauthor=False))


def _private(path: Path) -> None:
    """Make a folder that nobody else can write to, or refuse one that somebody could."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = path.lstat()
    except OSError as error:
        raise CacheUnusable(f"the cache folder {path} can't be made: {error.strerror or error}") from error
    if not stat.S_ISDIR(state.st_mode):
        raise CacheUnusable(f"the cache folder {path} is not a folder, or a link to one")
    if hasattr(os, "getuid") and state.st_uid != os.getuid():
        raise CacheUnusable(f"the cache folder {path} belongs to another user")
    if os.name == "posix" and state.st_mode & 0o022:
        raise CacheUnusable(f"the cache folder {path} can be written to by others; run `chmod 700 {path}`")


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


def lookup(name: str) -> Path | None:
    """Return the folder of an entry whose files are whole, or None. Never raises for a broken entry."""
    return None if contents(name) is None else folder() / name


def contents(name: str) -> dict[str, bytes] | None:
    """Return the files of an entry where all of them are whole, else None. Never raises for a broken entry."""
    try:
        root = folder()
        _private(root)
        entry = root / name
        if not entry.is_dir() or entry.is_symlink():
            return None
        manifest = _manifest(entry)
        files = {file: (entry / file).read_bytes() for file in manifest}
    except (OSError, ValueError):
        return None
    whole = all(_hash(data) == manifest[file] for file, data in files.items())
    return files if files and whole else None


def _manifest(entry: Path) -> dict[str, str]:
    """Return the hash of each file of an entry. Raises OSError, or ValueError where it isn't a list of hashes."""
    lines = (entry / MANIFEST).read_text(encoding="utf-8").splitlines()
    return {file: digest for digest, file in (line.split("  ", 1) for line in lines)}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def building() -> Iterator[Path]:
    """Give a private folder in the cache to build an entry in; it is gone afterwards unless `publish` moved it.

    Raises CacheUnusable where the cache can't be written to.
    """
    import shutil  # which what is only read has no need of
    import tempfile

    root = folder()
    _private(root)
    try:
        path = Path(tempfile.mkdtemp(prefix=".building-", dir=root))
    except OSError as error:
        raise CacheUnusable(f"the cache folder {root} can't be written to: {error.strerror or error}") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def publish(built: Path, name: str) -> Path:
    """Move a built folder into place as an entry and return it. Another process may have been first: theirs is kept."""
    files = sorted(path for path in built.iterdir() if path.is_file())
    lines = (f"{_hash(path.read_bytes())}  {path.name}\n" for path in files)
    (built / MANIFEST).write_text("".join(lines), encoding="utf-8")
    target = folder() / name
    try:
        built.rename(target)
    except OSError:
        whole = lookup(name)
        if whole is not None:
            return whole
        import shutil

        shutil.rmtree(target, ignore_errors=True)
        built.rename(target)
    return target


def remember(name: str, file: str, text: str) -> None:
    """Make an entry of one file. What can't be remembered, because there is no cache, is worked out again."""
    with suppress(OSError), building() as built:
        (built / file).write_text(text, encoding="utf-8")
        publish(built, name)


def entries() -> list[tuple[Path, Mapping[str, str]]]:
    """Return the entries of the cache, each with its manifest, in the order of their names."""
    found: list[tuple[Path, Mapping[str, str]]] = []
    for path in sorted(folder().glob("*")):
        if path.is_dir() and (path / MANIFEST).exists():
            try:
                found.append((path, _manifest(path)))
            except (OSError, ValueError):
                found.append((path, {}))
    return found


def clear() -> int:
    """Remove everything this program put into the cache; return how many entries that were."""
    import shutil

    found = entries()
    for path, _ in found:
        shutil.rmtree(path)
    for path in folder().glob(".building-*"):
        shutil.rmtree(path, ignore_errors=True)
    return len(found)
