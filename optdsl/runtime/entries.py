"""The entries of an open cache folder: written aside, moved into place in one rename, checked when they are read."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from optdsl.runtime import private

MANIFEST = "manifest.txt"
"""The name of an entry, and the hash of each of its files as `sha256sum` writes them, and checks them with `-c`."""

MOST_BYTES = 1 << 28
"""Bytes of a file of an entry."""
MOST_MANIFEST = 1 << 16

WORK = ".work"
_DAY = 86400.0
_NAME = re.compile(r"[0-9a-f]{40}")


class CacheUnusable(OSError):
    """The cache folder can't be used; the message says why."""


class Entry(NamedTuple):
    """What an entry holds while it is loaded."""

    files: Mapping[str, bytes]
    folder: str
    """A name of the folder with the same files, good until they are loaded; empty where they are in memory alone."""
    path: Path | None
    """Where the files can be found later; None where they aren't kept."""
    fresh: bool = False
    """Whether they were made just now, by this process."""


def limit() -> int:
    """Return how many bytes the cache may have, 0 for any: `OPTDSL_CACHE_SIZE`, else 1 GiB. Raises CacheUnusable."""
    asked = os.environ.get("OPTDSL_CACHE_SIZE", "").strip() or "1G"
    number = re.fullmatch(r"(\d{1,15})([KMG]?)", asked, re.ASCII | re.IGNORECASE)
    if number is None:
        raise CacheUnusable(f"OPTDSL_CACHE_SIZE is {asked!r}; expected bytes such as 500M or 2G, or 0 for no limit")
    return int(number[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[number[2].upper()]


class Entries:
    """Those of a folder while it is open. Methods that write raise CacheUnusable where that can't be done."""

    def __init__(self, path: Path, at: str) -> None:
        self.path = path
        self.at = at

    def entry(self, name: str, files: Mapping[str, bytes], fresh: bool = False) -> Entry:
        """Return an entry to load, from its files as they were read."""
        return Entry(files, f"{self.at}/{name}", self.path / name, fresh)

    def get(self, name: str) -> dict[str, bytes] | None:
        """Return the files of an entry where all of them are whole, else None."""
        try:
            with private.opened(f"{self.at}/{name}") as entry:
                hashes = _hashes(private.read(f"{entry}/{MANIFEST}", MOST_MANIFEST), name)
                files = {file: private.read(f"{entry}/{file}", MOST_BYTES) for file in hashes}
                if not files or any(_hash(data) != hashes[file] for file, data in files.items()):
                    return None
                _use(f"{entry}/{MANIFEST}")
        except (OSError, ValueError):
            return None
        return files

    def make(
        self, name: str, texts: Callable[[], Mapping[str, str]],
        build: Callable[[Path], Sequence[str]] | None = None, patience: float = 60.0,
    ) -> Entry:  # fmt: skip
        """Make an entry, unless another process does, and return it. See `cache.obtain`."""
        import shutil  # which what is only read has no need of
        import tempfile

        from optdsl.runtime import locks

        most = limit()
        try:
            with self._working() as work, locks.held(f"{work}/lock-{name}", patience) as locked:
                found = self.get(name)
                if found is not None:
                    return self.entry(name, found)
                kind = "build" if locked else "alone"
                building = tempfile.mkdtemp(prefix=f"{kind}-{name}-", dir=work)
                try:
                    files = built(Path(building), texts(), build)
                    self._publish(f"{building}/entry", files, name)
                finally:
                    shutil.rmtree(building, ignore_errors=True)
        except CacheUnusable:
            raise
        except OSError as error:
            raise self._unwritable(error) from error
        self.sweep()
        if most and name[0] == "0":  # looking through the whole cache is put off to one time in sixteen
            self.trim(most)
        return self.entry(name, files, fresh=True)

    def expect_writable(self) -> None:
        """Raise CacheUnusable where entries can be read, at most."""
        try:
            with self._working() as work:
                private.write(f"{work}/tried-{os.urandom(20).hex()}", b"")
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            self.sweep()

    def _unwritable(self, error: OSError) -> CacheUnusable:
        return CacheUnusable(f"the cache folder {self.path} can't be written to: {error.strerror or error}")

    @contextmanager
    def _working(self) -> Iterator[str]:
        """Give the folder for what isn't whole yet, or isn't any more."""
        with suppress(FileExistsError):
            os.mkdir(f"{self.at}/{WORK}", 0o700)
        with private.opened(f"{self.at}/{WORK}") as work:
            yield work

    def _publish(self, entry: str, files: Mapping[str, bytes], name: str) -> None:
        """Write the files of an entry into a new folder, which no compiler knows of, and move it into place."""
        os.mkdir(entry, 0o700)
        for file, data in files.items():
            private.write(f"{entry}/{file}", data)
        lines = [f"# {name}", *(f"{_hash(data)}  {file}" for file, data in sorted(files.items()))]
        private.write(f"{entry}/{MANIFEST}", ("\n".join(lines) + "\n").encode())
        try:
            os.rename(entry, f"{self.at}/{name}")
        except OSError:
            if self.get(name) is not None:
                return  # made by a process that didn't wait for us
            self.discard(name)
            os.rename(entry, f"{self.at}/{name}")

    def discard(self, name: str) -> None:
        """Take an entry away: first its name, so that nobody finds it half gone. One that can't be is left."""
        with suppress(OSError), self._working() as work:
            gone = f"{work}/removed-{name}-{os.urandom(4).hex()}"
            try:
                os.rename(f"{self.at}/{name}", gone)
            except FileNotFoundError:
                return
            except OSError:  # as in a lower layer of a container
                gone = f"{self.at}/{name}"
            _remove(gone)

    def sweep(self) -> None:
        """Remove what killed processes have left in `.work`."""
        try:
            left = os.listdir(f"{self.at}/{WORK}")
        except OSError:
            return
        if left:
            from optdsl.runtime import locks

            with suppress(OSError), self._working() as work:
                for file in left:
                    with suppress(OSError), locks.held(f"{work}/lock-{file.partition('-')[2][:40]}", 0) as over:
                        if _is_old(f"{work}/{file}") or (over and file.startswith(("build-", "removed-", "tried-"))):
                            _remove(f"{work}/{file}")

    def trim(self, most: int) -> None:
        """Throw out entries that weren't used for the longest time, where all together have more bytes than `most`."""
        sizes = {name: (_used(f"{self.at}/{name}"), size) for name, size in self.sizes().items()}
        total = sum(size for _, size in sizes.values())
        if total <= most:
            return
        for name, (_, size) in sorted(sizes.items(), key=lambda item: item[1]):
            if total <= 0.8 * most:
                return
            self.discard(name)
            total -= size

    def names(self) -> list[str]:
        """Return the names of all entries, broken ones too."""
        return sorted(name for name in os.listdir(self.at) if _NAME.fullmatch(name))

    def sizes(self) -> dict[str, int]:
        """Return how many bytes each entry has, those gone meanwhile left out."""
        sizes = {}
        for name in self.names():
            with suppress(OSError), os.scandir(f"{self.at}/{name}") as files:
                sizes[name] = sum(file.stat(follow_symlinks=False).st_size for file in files)
        return sizes

    def listing(self, name: str) -> list[str]:
        """Return the names of the files of an entry by its manifest; none of a broken one."""
        try:
            return sorted(_hashes(private.read(f"{self.at}/{name}/{MANIFEST}", MOST_MANIFEST), name))
        except (OSError, ValueError):
            return []


def built(
    where: Path, texts: Mapping[str, str], build: Callable[[Path], Sequence[str]] | None
) -> dict[str, bytes]:  # fmt: skip
    """Make the files of an entry in a folder and return them."""
    files = {file: text.encode() for file, text in texts.items()}
    for file, data in files.items():
        private.write(f"{where}/{file}", data)
    if build is not None:
        files |= {file: (where / file).read_bytes() for file in build(where)}
    return files


def _hashes(manifest: bytes, name: str) -> dict[str, str]:
    """Return the hash of each file by the manifest of an entry. Raises ValueError for anything else than one."""
    first, *lines = manifest.decode().splitlines()
    hashes = {file: digest for digest, file in (line.split("  ", 1) for line in lines)}
    plain = all(file == os.path.basename(file) and file not in ("", ".", "..", MANIFEST) for file in hashes)
    if first != f"# {name}" or not plain or len(hashes) < len(lines):
        raise ValueError("not the manifest of this entry")
    return hashes


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _use(manifest: str) -> None:
    """Note that an entry is used, once a day: the time of its manifest is when it was used last."""
    with suppress(OSError):
        if time.time() - os.stat(manifest).st_mtime > _DAY:
            os.utime(manifest)


def _used(entry: str) -> float:
    """Return when an entry was used last; broken ones never were."""
    try:
        return os.lstat(f"{entry}/{MANIFEST}").st_mtime
    except OSError:
        return 0.0


def _is_old(path: str) -> bool:
    """Return whether nobody can be at work on something any more."""
    return time.time() - os.lstat(path).st_mtime > _DAY


def _remove(path: str) -> None:
    """Remove a file or folder, to which a compiler whose starter was killed may add meanwhile."""
    import shutil

    for _ in range(3):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.unlink(path)
        if not os.path.lexists(path):
            return
