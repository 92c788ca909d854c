"""A sample of the hostile inputs goes through the program, and what goes wrong would be seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import run as running
from tests.hostile.inputs import Input, families, inputs, made
from tests.hostile.run import Run, run

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = 66

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the limits are set in a copy of the process, by fork")


def test_a_sample_goes_through(both_targets: None) -> None:
    command = [sys.executable, "-m", "tests.hostile", "--count", str(SAMPLE), "--quick", "--json"]
    command += ["--seconds", "20"]  # on a busy machine; whether two are enough is measured by hand
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) == 2 * SAMPLE
    assert {one["family"] for one in runs} == set(families())
    assert {one["status"] for one in runs} >= {0, 1, 2}


def test_there_are_a_thousand_different_inputs() -> None:
    every = inputs(1000)
    assert len(families()) >= 12
    assert len(every) == 1000
    assert len({repr(given) for _, _, given in every}) > 950
    assert inputs(30) == every[:30]
    assert made("claims", 3) == made("claims", 3)


def _forever(arguments: list[str]) -> int:
    while True:
        pass


def _large(arguments: list[str]) -> int:
    return len(bytearray(1 << 30))


@pytest.mark.parametrize(
    ("main", "wrong"),
    [
        (_forever, "SIGXCPU"),
        (_large, "a failure inside"),
        (lambda arguments: os.abort(), "SIGABRT"),
        (lambda arguments: 1, "without a slug"),
        (lambda arguments: 9, "exit status 9"),
        (lambda arguments: 3, "without a word"),
        (lambda arguments: bool(print("\x1b[2J")), "U+001B"),
        (lambda arguments: 0, ""),
    ],
)
def test_what_goes_wrong_is_seen(
    main: Callable[[list[str]], int], wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_main", main)
    monkeypatch.setattr(running, "SECONDS", 1)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(running, "MEMORY", size + (512 << 20))
    found = run(("check",), "r.opt", tmp_path, tmp_path).wrong
    assert (wrong in found) if wrong else not found


def test_a_limit_without_its_name_is_seen() -> None:
    assert Run(("check",), 1, "error[too-complex]: this is much", 0.0, 0).wrong
    assert not Run(("check",), 1, "error[too-complex]: this is much; the limit is 5", 0.0, 0).wrong


def test_inputs_are_written_as_they_are(tmp_path: Path) -> None:
    given = Input(
        "a\ud800", links={"l": "nowhere"}, pipes=("p",), folders=("d",), beside={"d/b": b"\xff"}, sparse={"s": 1 << 33}
    )
    given.write(tmp_path)
    assert (tmp_path / "r.opt").read_bytes() == b"a\xed\xa0\x80"
    assert (tmp_path / "s").stat().st_size == 1 << 33
    assert (tmp_path / "p").is_fifo()
    assert (tmp_path / "l").is_symlink()
