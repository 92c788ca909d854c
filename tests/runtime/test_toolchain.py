"""Finding a compiler, and remembering what it called itself."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from optdsl.runtime import cache, process, toolchain

BINARY = b"\x7fELF, but for the name nothing of a compiler"


class Asked:
    """Stands for `process.run` and counts how often a compiler is asked what it is."""

    def __init__(self, version: str = "mine 1.0", returncode: int = 0) -> None:
        self.version = version
        self.returncode = returncode
        self.commands: list[tuple[str, ...]] = []

    def __call__(self, command: tuple[str, ...], *_: Any, **__: Any) -> tuple[int, bytes]:
        self.commands.append(command)
        return self.returncode, f"{self.version}\nmore".encode()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    answering = Asked()
    monkeypatch.setattr(process, "run", answering)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("OPTDSL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("OPTDSL_CC", raising=False)
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "bin").mkdir()
    return answering


def compiler(path: Path, content: bytes = BINARY) -> Path:
    """Write a file that can be run, or so it says."""
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def version() -> str:
    """Return what the compiler calls itself as a new process would find it."""
    toolchain._probe.cache_clear()
    return toolchain.find_compiler().version


@pytest.mark.skipif(os.name != "posix", reason="a program is found by its permissions on POSIX alone")
def test_what_a_compiler_calls_itself_is_asked_once(asked: Asked, tmp_path: Path) -> None:
    compiler(tmp_path / "bin" / "gcc")
    assert [version(), version()] == ["mine 1.0", "mine 1.0"]
    assert asked.commands == [(str(tmp_path / "bin" / "gcc"), "--version")]


@pytest.mark.skipif(os.name != "posix", reason="a program is found by its permissions on POSIX alone")
@pytest.mark.parametrize("change", ["content", "time", "link", "earlier"])
def test_a_changed_compiler_is_noticed(asked: Asked, tmp_path: Path, change: str) -> None:
    real = compiler(tmp_path / "gcc-12")
    (tmp_path / "bin" / "gcc").symlink_to(real)
    assert version() == "mine 1.0"
    asked.version = "mine 2.0"
    if change == "content":
        compiler(real, BINARY + b"!")
    elif change == "time":
        os.utime(real, ns=(1, 1))
    elif change == "link":
        (tmp_path / "bin" / "gcc").unlink()
        (tmp_path / "bin" / "gcc").symlink_to(compiler(tmp_path / "gcc-13"))
    else:
        compiler(tmp_path / "bin" / "cc")
    assert version() == "mine 2.0"


@pytest.mark.skipif(os.name != "posix", reason="a program is found by its permissions on POSIX alone")
@pytest.mark.parametrize("kind", ["script", "wrapper", "link to a wrapper"])
def test_what_starts_another_compiler_is_always_asked(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "script":
        compiler(tmp_path / "bin" / "gcc", b"#!/bin/sh\nexec gcc-12")
    else:
        compiler(tmp_path / "bin" / "ccache")
    if kind == "wrapper":
        monkeypatch.setenv("CC", "ccache gcc")
    elif kind == "link to a wrapper":
        (tmp_path / "bin" / "gcc").symlink_to(tmp_path / "bin" / "ccache")
    assert version() == "mine 1.0"
    asked.version = "mine 2.0"
    assert version() == "mine 2.0"


@pytest.mark.skipif(os.name != "posix", reason="a program is found by its permissions on POSIX alone")
def test_an_answer_that_was_tampered_with_is_not_believed(asked: Asked, tmp_path: Path) -> None:
    compiler(tmp_path / "bin" / "gcc")
    assert version() == "mine 1.0"
    (answer,) = (tmp_path / "cache").glob("*/version.txt")
    answer.write_text("another", encoding="utf-8")
    assert version() == "mine 1.0"
    assert len(asked.commands) == 2


@pytest.mark.skipif(os.name != "posix", reason="a program is found by its permissions on POSIX alone")
def test_without_a_cache_a_compiler_is_asked_each_time(asked: Asked, tmp_path: Path) -> None:
    compiler(tmp_path / "bin" / "gcc")
    (tmp_path / "cache").write_text("in the way", encoding="utf-8")
    assert [version(), version()] == ["mine 1.0", "mine 1.0"]
    assert len(asked.commands) == 2


@pytest.mark.skipif(os.name != "posix", reason="a program is found by its permissions on POSIX alone")
def test_a_compiler_that_fails_is_not_remembered(asked: Asked, tmp_path: Path) -> None:
    compiler(tmp_path / "bin" / "gcc")
    asked.returncode = 1
    with pytest.raises(toolchain.ToolchainError, match=r"gcc.*`--version` failed with exit status 1"):
        version()
    asked.returncode = 0
    assert version() == "mine 1.0"


@pytest.mark.skipif(os.name != "posix", reason="groups of processes are POSIX's")
def test_a_compiler_that_takes_too_long_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "#!/bin/sh\n[ $1 = --version ] && echo slow 1.0 && exit\nsleep 60 & echo $! > started\nwait\n"
    monkeypatch.setenv("OPTDSL_CC", str(compiler(tmp_path / "slow", script.encode())))
    monkeypatch.setenv("OPTDSL_CC_TIMEOUT", "0.5")
    (tmp_path / "rule.c").touch()
    with pytest.raises(toolchain.ToolchainError, match=r"took longer than 0\.5 seconds \(OPTDSL_CC_TIMEOUT\)"):
        toolchain.build(tmp_path / "rule.c", tmp_path / "librule.so")
    started = int((tmp_path / "started").read_text(encoding="utf-8"))
    state = Path(f"/proc/{started}/stat")
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc, which tells whether a process has ended")
    until = time.monotonic() + 30  # half as long as it would last; a killed process may take a moment to be gone
    while _runs(state) and time.monotonic() < until:
        time.sleep(0.01)
    assert not _runs(state)


def _runs(state: Path) -> bool:
    """Return whether a process still does something, by its file in /proc."""
    try:
        return state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_entries_of_the_cache_have_no_parts_in_common() -> None:
    assert cache.key(a="1", b="2") != cache.key(a="1, b=2")
    assert cache.key(a="1") == cache.key(a="1")
