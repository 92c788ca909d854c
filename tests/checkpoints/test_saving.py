"""Saving: the old file or the new one whole, whatever fails or dies, and nothing left beside it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.runtime import replacing as module
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.replacing import replacing

from .support import trained

ROOT = Path(__file__).parents[2]

NOBODY = 65534
"""A user who owns nothing."""


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def replace(path: Path | str, text: bytes = b"new") -> None:
    with replacing(path) as file:
        file.write(text)


# What is left behind.


def abandoned(path: Path, text: bytes = b"half") -> None:
    """Write half a file in a process of its own, and kill that."""
    child = os.fork()
    if child == 0:
        with replacing(path) as file:
            file.write(text)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_the_next_save_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    for _ in range(3):
        abandoned(path)
    assert len(contents(tmp_path)) == 2, "each sweeps after the one before"
    assert path.read_bytes() == b"old"
    replace(path)
    assert (contents(tmp_path), path.read_bytes()) == (["a"], b"new")


def test_only_its_own_debris_is_removed(tmp_path: Path) -> None:
    names = [".b.0123456789abcdef.tmp", ".a.0123456789abcdef.tmp~", ".a.0123.tmp", "a.0123456789abcdef.tmp", ".a"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".a.0000000000000000.tmp").mkdir()
    (tmp_path / ".a.0000000000000001.tmp").symlink_to(tmp_path / ".a")
    os.mkfifo(tmp_path / ".a.0000000000000002.tmp")
    (tmp_path / ".a.0000000000000003.tmp").write_bytes(b"stale")
    before = contents(tmp_path)
    replace(tmp_path / "a")
    assert contents(tmp_path) == sorted({*before, "a"} - {".a.0000000000000003.tmp"})


def test_what_another_writes_at_this_moment_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with replacing(path) as first:
        first.write(b"first")
        replace(path, b"second")
        assert path.read_bytes() == b"second"
        assert len(contents(tmp_path)) == 2
    assert (contents(tmp_path), path.read_bytes()) == (["a"], b"first")


def test_a_file_swept_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = module._lock
    swept: list[str] = []

    def late(descriptor: int, wait: bool) -> bool:
        if wait and not swept:
            swept.extend(contents(tmp_path))
            module._sweep(tmp_path / "a")
            assert contents(tmp_path) == []
        return lock(descriptor, wait)

    monkeypatch.setattr(module, "_lock", late)
    replace(tmp_path / "a")
    assert (len(swept), contents(tmp_path)) == (1, ["a"])


def test_where_nothing_can_be_locked_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    abandoned(tmp_path / "a")

    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    replace(tmp_path / "a")
    assert len(contents(tmp_path)) == 2
    monkeypatch.undo()
    replace(tmp_path / "a")
    assert contents(tmp_path) == ["a"]


def interrupted(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"interrupted")
        raise KeyboardInterrupt


def test_the_lock_ends_with_the_file(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        replace(tmp_path / "a")
        with pytest.raises(KeyboardInterrupt):
            interrupted(tmp_path / "a")
    assert (contents(tmp_path), len(os.listdir("/proc/self/fd"))) == (["a"], before)


def save_often(path: Path, number: int) -> None:
    params = {"x": np.full(50_000, float(number))}
    opt = made_adam(params)
    opt.step({"x": np.full(50_000, float(number))})
    for _ in range(10):
        opt.save(path)


def made_adam(params: dict[str, Any]) -> Optimizer:
    return type(trained(0)[1])(params)


def test_eight_processes_may_save_to_one_path(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=save_often, args=(path, number)) for number in range(1, 9)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert contents(tmp_path) == ["shared"]
    opt = made_adam({"x": np.zeros(50_000)})
    opt.load(path)
    m = opt.state["x"]["m"]
    assert float(m[0]) in [(1 - 0.9) * number for number in range(1, 9)]
    assert (m == m[0]).all()


# Disks that are full.


SMALL = """
import resource, signal, sys, numpy as np
from tests.checkpoints.support import trained
from tests.checkpoints.test_saving import made_adam
opt = made_adam({"x": np.ones(100_000)})
opt.step({"x": np.ones(100_000)})
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    opt.save(sys.argv[1])
except OSError as error:
    print(error.errno, error.filename, error.strerror)
"""


def test_a_file_that_may_not_grow_so_far(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    trained()[1].save(path)
    old = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", SMALL, path], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout == f"{errno.EFBIG} {path} {os.strerror(errno.EFBIG)}\n"
    assert (contents(tmp_path), path.read_bytes()) == (["a.safetensors"], old)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only the superuser can mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "a.safetensors"
    params = {"x": np.zeros(30_000)}
    opt = made_adam(params)
    opt.step({"x": np.ones(30_000)})
    opt.save(path)
    old = path.read_bytes()
    opt.step({"x": np.ones(30_000)})
    (small_disk / "other").write_bytes(bytes(300_000))
    with pytest.raises(OSError, match="No space left on device: ") as caught:
        opt.save(path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert (contents(small_disk), path.read_bytes()) == (["a.safetensors", "other"], old)
    (small_disk / "other").unlink()
    opt.save(path)
    assert path.read_bytes() != old


def test_a_disk_filled_by_what_a_killed_save_left(small_disk: Path) -> None:
    path = small_disk / "a"
    replace(path, bytes(400_000))
    abandoned(path, bytes(500_000))
    replace(path, bytes(450_000))
    assert (contents(small_disk), path.stat().st_size) == (["a"], 450_000)


FAULTS = {"EDQUOT": errno.EDQUOT, "EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_system_call_can_fail_with(
    fault: str, function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(FAULTS[fault], os.strerror(FAULTS[fault]), "a name nobody knows")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match=re.escape(os.strerror(FAULTS[fault]))) as caught:
        replace(path)
    monkeypatch.undo()
    assert (caught.value.errno, caught.value.filename) == (FAULTS[fault], str(path))
    assert (contents(tmp_path), path.read_bytes()) == (["a"], b"old")


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    replace(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"


# Where to.


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_permissions_are_handed_on(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(mode)
    with replacing(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode, "nor may others read it meanwhile"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_heeds_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        replace(tmp_path / "a")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(exists: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    real = tmp_path / "folder" / "real"
    if exists:
        real.write_bytes(b"old")
    (tmp_path / "one").symlink_to("folder/real")
    (tmp_path / "two").symlink_to("one")
    abandoned(tmp_path / "two")
    replace(tmp_path / "two")
    assert (tmp_path / "two").is_symlink()
    assert (tmp_path / "one").is_symlink()
    assert (real.read_bytes(), contents(tmp_path), contents(real.parent)) == (
        b"new",
        ["folder", "one", "two"],
        ["real"],
    )


def test_other_names_of_the_old_file_keep_it(tmp_path: Path) -> None:
    """As with every file that is replaced by a rename."""
    (tmp_path / "a").write_bytes(b"old")
    os.link(tmp_path / "a", tmp_path / "b")
    replace(tmp_path / "a")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"new", b"old")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


TARGETS: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "a folder": (Path.mkdir, IsADirectoryError, "Is a directory"),
    "a pipe": (os.mkfifo, ValueError, "not a regular file"),
    "a socket": (a_socket, ValueError, "not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/null"), ValueError, "not a regular file"),
    "a link to itself": (lambda path: path.symlink_to(path), OSError, "Too many levels"),
    "a link into nowhere": (lambda path: path.symlink_to("none/a"), FileNotFoundError, "No such file"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_what_is_no_file_is_not_replaced(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a"
    make, error, message = TARGETS[kind]
    make(path)
    before = path.lstat()
    with pytest.raises(error, match=message) as caught:
        trained()[1].save(path)
    assert str(path) in str(caught.value)
    assert (path.lstat().st_ino, contents(tmp_path)) == (before.st_ino, ["a"])
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_every_way_to_give_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    class Given:
        def __fspath__(self) -> str:
            return "given"

    names: list[Any] = ["bare", "./dotted", Path("path"), Given(), b"bytes", "ü" * 127, "\udcff", "-", "a b\n"]
    for name in names:
        params, opt = trained()
        opt.save(name)
        trained(0)[1].load(name)
        del params
    assert len(contents(tmp_path)) == len(names)
    for wrong, error in (("", OSError), ("folder/", IsADirectoryError), ("n" * 256, OSError), ("a\0b", ValueError)):
        with pytest.raises(error):
            trained()[1].save(wrong)
        with pytest.raises((OSError, ValueError)):
            trained()[1].load(wrong)
    with pytest.raises(TypeError, match="PathLike"):
        trained()[1].save(3)  # type: ignore[arg-type]
    assert len(contents(tmp_path)) == len(names)


def without_rights(path: Path) -> str:
    """Replace a file as somebody without rights, and return what came of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            replace(path)
        except OSError as error:
            os.write(writer, f"{type(error).__name__} {error.filename}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader) as said:
        return said.read()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can get at, which those of a test session are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.path.realpath(name))
        if not all(parent.stat().st_mode & 0o001 for parent in folder.parents):
            pytest.skip("the folder for temporary files is not everybody's")
        yield folder
        folder.chmod(0o700)


def test_a_folder_that_may_not_be_written_to(open_folder: Path) -> None:
    path = open_folder / "a"
    path.write_bytes(b"old")
    path.chmod(0o666)
    open_folder.chmod(0o555)
    assert without_rights(path) == f"PermissionError {path}"
    assert (contents(open_folder), path.read_bytes()) == (["a"], b"old")


def test_a_file_that_may_not_be_written_to(open_folder: Path) -> None:
    open_folder.chmod(0o777)
    path = open_folder / "a"
    path.write_bytes(b"old")
    path.chmod(0o444)
    assert without_rights(path) == f"PermissionError {path}"
    assert (contents(open_folder), path.read_bytes()) == (["a"], b"old")


def test_a_folder_that_may_not_be_listed(open_folder: Path) -> None:
    open_folder.chmod(0o333)
    assert without_rights(open_folder / "a") == ""
    open_folder.chmod(0o755)
    assert (contents(open_folder), (open_folder / "a").read_bytes()) == (["a"], b"new")


def test_what_another_user_left_is_theirs(open_folder: Path) -> None:
    if os.geteuid():
        pytest.skip("only the superuser can make the file of another user")
    open_folder.chmod(0o777)
    path = open_folder / ".a.0123456789abcdef.tmp"
    path.write_bytes(b"of the superuser")
    path.chmod(0o666)
    assert without_rights(open_folder / "a") == ""
    assert contents(open_folder) == [path.name, "a"]


# Memory.


@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_memory_of_saving_and_loading(layout: str, tmp_path: Path) -> None:
    """Saving takes none of the size of a parameter, loading the new states and nothing beside."""
    big = np.zeros((1000, 1000))
    x = {"C": big, "F": np.asfortranarray(big), "strided": np.zeros((1000, 2000))[:, ::2]}[layout]
    opt = made_adam({"x": x})
    opt.step({"x": np.ones((1000, 1000))})
    path = tmp_path / "a.safetensors"
    opt.save(path)
    size = path.stat().st_size
    assert size > 2 * big.nbytes
    other = made_adam({"x": x.copy()})
    peaks = []
    actions: tuple[Callable[[], None], ...] = (lambda: opt.save(path), lambda: other.load(path))
    for action in actions:
        tracemalloc.start()
        action()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 256 << 10
    assert peaks[1] < size + (256 << 10)
