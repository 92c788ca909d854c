"""The entries of the cache: made by one, found by all, thrown out in order, and nothing left of what was killed."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from optdsl.runtime import cache, entries, locks, private
from optdsl.runtime.entries import MOST_BYTES

NAME = cache.key(kind="test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OPTDSL_CACHE_DIR", str(folder))
    return folder


def no_text() -> Mapping[str, str]:
    raise AssertionError("nothing was to be made")


def loaded(entry: cache.Entry) -> dict[str, bytes]:
    return dict(entry.files)


def test_an_entry_is_made_once(own_cache: Path) -> None:
    assert cache.obtain(NAME, lambda: {"a.txt": "text"}, loaded) == {"a.txt": b"text"}
    assert cache.obtain(NAME, no_text, loaded) == cache.contents(NAME) == {"a.txt": b"text"}
    assert list((own_cache / ".work").iterdir()) == []


def test_its_manifest_is_one_that_other_programs_check(own_cache: Path) -> None:
    cache.remember(NAME, "a.txt", "text")
    check = ["sha256sum", "--strict", "-c", entries.MANIFEST]
    try:
        done = subprocess.run(check, cwd=own_cache / NAME, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no sha256sum here")
    assert (done.returncode, done.stdout) == (0, "a.txt: OK\n")


def test_threads_that_want_the_same_wait_for_one() -> None:
    made, found = [], []

    def texts() -> dict[str, str]:
        made.append(1)
        time.sleep(0.05)
        return {"a.txt": "text"}

    threads = [threading.Thread(target=lambda: found.append(cache.obtain(NAME, texts, loaded))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), found) == (1, [{"a.txt": b"text"}] * 8)


def test_an_entry_that_cant_be_loaded_is_made_again_once() -> None:
    cache.remember(NAME, "a.txt", "for another system")

    def load(entry: cache.Entry) -> dict[str, bytes]:
        if entry.files["a.txt"] != b"text":
            raise OSError("version `GLIBC_9.9' not found")
        return loaded(entry)

    assert cache.obtain(NAME, lambda: {"a.txt": "text"}, load) == {"a.txt": b"text"}
    with pytest.raises(OSError, match="GLIBC"):
        cache.obtain(cache.key(kind="other"), lambda: {"a.txt": "never right"}, load)


def test_what_a_killed_process_left_is_removed_by_the_next(own_cache: Path) -> None:
    work = own_cache / ".work"
    cache.remember(NAME, "a.txt", "text")
    for name in (f"build-{NAME}-x", f"removed-{NAME}-x", f"alone-{NAME}-old", f"alone-{NAME}-new"):
        (work / name).mkdir()
        (work / name / "half.c").touch()
    (work / f"lock-{NAME}").touch()
    os.utime(work / f"alone-{NAME}-old", (1, 1))
    cache.obtain(NAME, no_text, loaded)
    assert [path.name for path in work.iterdir()] == [f"alone-{NAME}-new"], "which nobody's lock tells about"


def test_what_a_living_process_is_at_is_left_alone(own_cache: Path) -> None:
    def texts() -> dict[str, str]:
        with cache.opened() as store:
            store.sweep()
        assert len(list((own_cache / ".work").glob("build-*"))) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.obtain(NAME, texts, loaded)
    assert list((own_cache / ".work").iterdir()) == []


def test_a_lock_that_is_held_is_waited_for_and_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with locks.held(path, 0) as first, locks.held(path, 0.02) as second:
        assert (first, second) == (True, False)
    assert not Path(path).exists()
    with locks.held(path, 0) as again:
        assert again


@pytest.mark.skipif(os.name != "posix", reason="locks of files are POSIX's")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_each_makes_its_own(number: int, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    import fcntl

    def flock(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert cache.obtain(NAME, lambda: {"a.txt": "text"}, loaded, patience=60) == {"a.txt": b"text"}
    assert {path.name for path in own_cache.iterdir()} == {".work", NAME}


def test_what_was_used_the_longest_ago_is_thrown_out(own_cache: Path) -> None:
    names = [cache.key(kind=str(number)) for number in range(5)]
    for age, name in enumerate(names):
        cache.remember(name, "a.txt", "x" * 1000)
        day = time.time() - 100_000 * (9 - age)
        os.utime(own_cache / name / entries.MANIFEST, (day, day))
    assert cache.contents(names[0]) is not None, "which is now the one used last"
    with cache.opened() as store:
        size = store.sizes()[names[0]]
        store.trim(5 * size)
        assert store.names() == sorted(names)
        store.trim(4 * size)
        assert store.names() == sorted([names[0], names[3], names[4]])
    assert list((own_cache / ".work").iterdir()) == []


def test_the_size_is_kept_to_where_entries_are_made(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTDSL_CACHE_SIZE", "2k")
    names = [f"0{number:039x}" for number in range(5)]
    for name in names:
        cache.remember(name, "a.txt", "x" * 1000)
    assert (own_cache / names[-1]).exists()
    assert len([name for name in names if (own_cache / name).exists()]) == 1
    monkeypatch.setenv("OPTDSL_CACHE_SIZE", "0")
    for name in names:
        cache.remember(name, "a.txt", "x" * 1000)
    assert all((own_cache / name).exists() for name in names)


def test_a_key_tells_processors_and_versions_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl import building
    from optdsl.source import SourceFile

    source = SourceFile("a.opt", "rule A(x, g)\nupdate\n  x' = x - g\n")
    keys = {building.key(source, "a", "c", False)}
    monkeypatch.setattr(cache, "processor", lambda: "another")
    keys.add(building.key(source, "a", "c", False))
    monkeypatch.setattr(building, "__version__", "another")
    building.generator.cache_clear()
    keys.add(building.key(source, "a", "c", False))
    building.generator.cache_clear()
    assert len(keys) == 3


@pytest.mark.skipif(os.name != "posix", reason="permissions and pipes are POSIX's")
@pytest.mark.parametrize("kind", ["shared", "two names", "link", "pipe", "long", "grown", "foreign"])
def test_a_file_that_isnt_private_isnt_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    private.write(str(path), b"text")
    assert private.read(str(path), 4) == b"text"
    if kind == "shared":
        path.chmod(0o620)
    elif kind == "two names":
        os.link(path, tmp_path / "other")
    elif kind == "link":
        path.rename(tmp_path / "other")
        path.symlink_to(tmp_path / "other")
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path, 0o600)
    elif kind == "long":
        path.write_bytes(b"texts")
    elif kind == "grown":  # since it was looked at
        before = os.stat_result((*path.stat()[:6], 3, *path.stat()[7:10]))
        monkeypatch.setattr(os, "fstat", lambda _: before)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises((OSError, ValueError)):
        private.read(str(path), 4)


def test_reading_takes_the_memory_of_the_file(tmp_path: Path) -> None:
    """And not that of the longest file that would be read: a library is read in the middle of a step."""
    path = tmp_path / "file"
    private.write(str(path), bytes(1000))
    tracemalloc.start()
    try:
        assert private.read(str(path), MOST_BYTES) == bytes(1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
