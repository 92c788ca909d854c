"""Starts processes that all want a rule that nobody has compiled: `python -m tests.faults cold --processes 64`.

Each must get the right answer. The compiler is a script that writes a line for each time it builds something.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import support

LONGEST = 900.0


@dataclass
class Outcome:
    """How many processes there were, how many gave the right answer, what each build made, and what else was seen."""

    processes: int
    right: int
    built: list[str]
    problems: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--processes", type=int, default=64)


def main(arguments: argparse.Namespace) -> int:
    """Start them, report, and return whether anything was wrong."""
    with tempfile.TemporaryDirectory(prefix="optdsl-cold-") as folder:
        outcome = start(Path(folder), arguments.processes)
    print("\n".join(outcome.problems))
    print(f"{outcome.processes} cold processes: {outcome.right} right answers, {len(outcome.built)} compiler runs")
    print("built:", ", ".join(outcome.built))
    return int(outcome.right < outcome.processes or len(outcome.built) > 2 or bool(outcome.problems))


def start(folder: Path, processes: int) -> Outcome:
    """Start processes over one empty cache."""
    log = folder / "built"
    script = folder / "logged-cc"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--version*) ;; *) echo "$*" | sed \'s/.*-o \\([^ ]*\\).*/\\1/\' >> {log};; esac\n'
        f'exec {support.compiler()} "$@"\n'
    )
    script.chmod(0o755)
    support.preload()
    environment = {"OPTDSL_CACHE_DIR": str(folder / "cache"), "OPTDSL_CC": str(script)}

    def run() -> None:
        found = support.answer()
        if found != support.ANSWER:
            raise AssertionError(f"the answer is {found}")

    started = [support.forked(run, environment, folder / f"log{number}") for number in range(processes)]
    statuses = [support.ended(process, LONGEST) for process in started]
    problems = [path.read_text(encoding="utf-8") for path in folder.glob("log*[0-9]")]
    problems += [f"{path} is left" for path in (folder / "cache" / ".work").iterdir()]
    return Outcome(processes, statuses.count(0), log.read_text(encoding="utf-8").split(), problems)
