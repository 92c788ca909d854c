"""`optdsl check --watch`: what counts as a change, and a session of it in another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest
from click.testing import CliRunner

from optdsl import watch
from optdsl.cli import main

DOWN = "rule R(x, g)\nhyper\n  lr = 0.1 in [0, 1]\nupdate\n  x' = x - lr*g\n"
UP = DOWN.replace("x - lr", "x + lr")
PATIENCE = 60
"""Seconds after which a process that says nothing is given up."""


def replace(path: Path, text: str) -> None:
    """Write a file as many editors do: another file, renamed over it."""
    beside = path.with_suffix(".swp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def remove(path: Path, _: str) -> None:
    path.unlink()


def write_beside(path: Path, text: str) -> None:
    write(path.with_name("base.opt"), text)


def write_inside(path: Path, text: str) -> None:
    (path.parent / "deep").mkdir()
    write(path.parent / "deep" / "new.opt", text)


def waited(
    names: list[str], parts: list[str], acts: list[Callable[[], None]], before: watch.Stamps | None = None
) -> int:
    """Return how many pauses `watch.wait` made, one act after another taking place in the first ones."""
    pauses = 0

    def sleep(_: float) -> None:
        nonlocal pauses
        assert pauses < 10, "no change was seen"
        if pauses < len(acts):
            acts[pauses]()
        pauses += 1

    watch.wait(names, parts, watch.stamps(names, parts) if before is None else before, sleep)
    return pauses


@pytest.mark.parametrize("change", [write, replace, remove, write_beside])
def test_a_change_of_a_file_ends_the_wait(tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    path = tmp_path / "r.opt"
    write(path, DOWN)
    assert waited([str(path)], [], [lambda: None, lambda: change(path, UP + "\n")]) == 3


@pytest.mark.parametrize("change", [write, replace, remove, write_beside, write_inside])
def test_a_change_inside_a_folder_ends_the_wait(tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    path = tmp_path / "r.opt"
    write(path, DOWN)
    assert waited([str(tmp_path)], [], [lambda: change(path, UP + "\n")]) == 2


def test_a_change_of_a_part_ends_the_wait(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    part = tmp_path / "far" / "base.opt"
    write(part, DOWN)
    write(tmp_path / "r.opt", DOWN)
    assert waited([str(tmp_path / "r.opt")], [str(part)], [lambda: replace(part, UP)]) == 2


def test_what_is_no_rule_is_not_watched(tmp_path: Path) -> None:
    path = tmp_path / "r.opt"
    write(path, DOWN)
    other = tmp_path / "notes.txt"
    assert waited([str(path)], [], [lambda: write(other, "x"), lambda: write(path, UP + "\n")]) == 3


def test_the_wait_goes_on_until_files_are_quiet(tmp_path: Path) -> None:
    path = tmp_path / "r.opt"
    write(path, DOWN)
    acts = [lambda: path.unlink(), lambda: write(path, "half"), lambda: write(path, UP)]
    assert waited([str(path)], [], acts) == 4


def test_a_change_between_the_look_and_the_wait_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "r.opt"
    write(path, DOWN)
    before = watch.stamps([str(path)])
    replace(path, UP)
    assert waited([str(path)], [], [], before) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-",), "standard input is read only once"),
        (("r.opt", "--output-format", "json"), "json goes without it"),
        (("r.opt", "--output-format", "sarif"), "sarif goes without it"),
        (("missing.opt",), "missing.opt: No such file"),
        (("empty",), "no .opt file in this folder"),
    ],
)
def test_what_cannot_be_watched_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "r.opt", DOWN)
    result = CliRunner().invoke(main, ["check", "--watch", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


class Session:
    """A running `optdsl check --watch` whose output is read line by line."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "optdsl", "check", "--watch", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: Queue[str] = Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.put(line.rstrip("\n"))

    def run(self) -> list[str]:
        """Return the lines of the next run."""
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Watching"):
            lines.append(self.lines.get(timeout=PATIENCE))
        return lines

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait for the end of the process and of its output; return the exit status."""
        self.reader.join(PATIENCE)
        return self.process.wait(PATIENCE)


@pytest.fixture
def session() -> Iterator[Callable[..., Session]]:
    """Return what starts a session; all end with the test."""
    started: list[Session] = []

    def start(*arguments: str) -> Session:
        started.append(Session(*arguments))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.end()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process on Windows")
def test_a_session(tmp_path: Path, session: Callable[..., Session]) -> None:
    path = tmp_path / "r.opt"
    write(path, DOWN)
    running = session(str(path))
    first = running.run()
    assert first[0].startswith("[")
    assert first[1:] == ["Checked 1 file: no findings.", "Watching for changes; Ctrl-C stops."]
    replace(path, UP)
    assert any(line.startswith("warning[ascends]") for line in running.run())
    path.unlink()
    assert any("No such file" in line for line in running.run())
    write(path, DOWN)
    lines = running.run()
    assert "Checked 1 file: no findings." in lines
    assert not any("\x1b" in line for line in lines)
    assert running.interrupt() == 0
    assert running.lines.empty()
