"""Stepping many rules under a sanitizer, and what it found."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .building import ROOT, SANITIZERS

AT_ONCE = 30
"""Rules that a process steps before the next is started."""

LIMIT = 600.0
"""Seconds that a process may take for each of its rules, however busy the machine: one that waits for ever is ended."""

_HEADLINE = re.compile(r"runtime error:|ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|Error: |Error$|timed out")


class Finding(NamedTuple):
    """A rule at which a process ended, and everything it said."""

    stem: str
    report: str

    @property
    def headline(self) -> str:
        """The line that says what was wrong."""
        lines = [line.strip() for line in self.report.split("\n") if line.strip()]
        return next((line for line in lines if _HEADLINE.search(line)), lines[-1] if lines else "it said nothing")


def findings(folder: Path, how: str, stems: Sequence[str]) -> list[Finding]:
    """Step the rules built in a folder under a sanitizer; return what went wrong, at most one finding a rule.

    A process ends with its first finding; another goes on with the rules after it.
    """
    found, left = [], list(stems)
    while left:
        begun, report = _process(folder, how, left[:AT_ONCE])
        if report is None:
            del left[:AT_ONCE]
            continue
        stem = begun[-1] if begun else left[0]
        found.append(Finding(stem, report))
        del left[: left.index(stem) + 1]
    return found


def _process(folder: Path, how: str, stems: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the rules that a process began to step, and what it said if it didn't get to the end."""
    sanitizer = SANITIZERS[how]
    command = sanitizer.command(["-m", "tests.sanitize.stepping", how, str(folder), *stems])
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=sanitizer.environment(), capture_output=True, text=True, errors="replace",
            timeout=LIMIT * len(stems), check=False,
        )  # fmt: skip
        output, report, status = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        output, report, status = (error.stdout or b"").decode(errors="replace"), f"timed out: {error}", 1
    begun = re.findall(r"^stepping (\w+)$", output, re.MULTILINE)
    return begun, None if status == 0 and output.endswith("done\n") else report or f"exit status {status}"


def in_parallel(jobs: int, folder: Path, how: str, stems: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings of several processes at once."""
    parts = [stems[first::jobs] for first in range(jobs)]
    with ThreadPoolExecutor(jobs) as pool:
        results: Iterable[list[Finding]] = pool.map(lambda part: findings(folder, how, part), parts)
        for found in results:
            yield from found
