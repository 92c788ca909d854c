"""The compiler tester: `python -m tests.fuzz --count 2000 --seed 1`.

Makes random rules and tries each by every oracle of `trial.py`. A rule that fails is made as small as it gets and
written to `tests/regressions/found`, where every run of the tests tries it again. Rule k of a seed is the same in every
run, so that a range can be run later or again (`--start`). The exit status says whether a rule failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import found
from .shrinking import smallest
from .trial import Report
from .workers import Job, results

OFTEN = 20
"""Rules after which the summary is written again."""


@dataclass
class Tally:
    """What became of the rules so far."""

    rules: int = 0
    finite: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    oracles: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)

    def add(self, job: Job, report: Report) -> None:
        """Count one rule."""
        self.rules += 1
        self.finite += report.finite
        self.counts.update(name for name in ("simplified", "rejected", "exact") if getattr(report, name))
        self.oracles.update({failure.oracle for failure in report.failures})
        if report.failures:
            self.failed.append(job.number)


def main(words: list[str] | None = None) -> int:
    """Run the rules and report."""
    arguments = _arguments(words)
    numbers = range(arguments.start, arguments.start + arguments.count)
    jobs = (Job(arguments.seed, number, arguments.both) for number in numbers)
    begun = time.monotonic()
    until = begun + 60 * arguments.minutes if arguments.minutes else float("inf")
    tally = Tally()
    for job, report in results(jobs, arguments.jobs, until):
        tally.add(job, report)
        if report.failures:
            _tell(job, report, arguments)
        if arguments.json and tally.rules % OFTEN == 0:
            _write(tally, arguments, time.monotonic() - begun)
        if sys.stderr.isatty():
            print(f"\r{tally.rules} of {arguments.count} rules, {len(tally.failed)} failed", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    _summarise(tally, arguments, time.monotonic() - begun)
    return int(bool(tally.failed))


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="random rules, tried by every oracle")
    parser.add_argument("--count", type=int, default=200, help="how many rules (200)")
    parser.add_argument("--seed", type=int, default=1, help="which rules (1)")
    parser.add_argument("--start", type=int, default=0, help="number of the first rule (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--minutes", type=float, default=0, help="begin no rule after so long")
    parser.add_argument("--both", action="store_true", help="run each rule in float32 and float64, not in one in turn")
    parser.add_argument("--keep", type=Path, default=found.FOLDER, help="where small rules that fail are written")
    parser.add_argument("--no-shrink", action="store_true", help="write rules that fail as they are")
    parser.add_argument("--json", type=Path, help="write the summary to a file")
    return parser.parse_args(words)


def _tell(job: Job, report: Report, arguments: argparse.Namespace) -> None:
    """Print what is wrong with a rule, and keep it, small."""
    for failure in report.failures:
        print(f"rule {job.number} of seed {job.seed}, {failure}", flush=True)
    failure = report.failures[0]
    text = job.text if arguments.no_shrink else smallest(job, failure)
    path = found.keep(arguments.keep, f"{failure.oracle}-{job.seed}-{job.number}", text, failure, job)
    print(f"{text}-> {path}\n", flush=True)


def _summary(tally: Tally, arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    counts = {name: tally.counts[name] for name in ("simplified", "rejected", "exact")}
    summary: dict[str, Any] = {"seed": arguments.seed, "start": arguments.start, "rules": tally.rules}
    summary |= {"seconds": round(seconds), "finite": round(tally.finite / max(tally.rules, 1), 4), **counts}
    return summary | {"failed": tally.failed, "oracles": dict(tally.oracles)}


def _write(tally: Tally, arguments: argparse.Namespace, seconds: float) -> None:
    """Write the summary so far, for those who look on and for what is left of a run that is ended."""
    text = json.dumps(_summary(tally, arguments, seconds), indent=1)
    arguments.json.write_text(f"{text}\n", encoding="utf-8")


def _summarise(tally: Tally, arguments: argparse.Namespace, seconds: float) -> None:
    summary = _summary(tally, arguments, seconds)
    print(
        f"{tally.rules} rules of seed {arguments.seed} from {arguments.start} in {seconds:.0f} s: "
        f"{summary['simplified']} simplified, {summary['rejected']} with forms that were rejected, {summary['exact']} "
        f"with bits promised, {summary['finite']:.1%} of results finite; {len(tally.failed)} failed"
    )
    if tally.rules < arguments.count:
        left = arguments.start + tally.rules, arguments.count - tally.rules
        print(f"the time is up; to go on: --start {left[0]} --count {left[1]}")
    if arguments.json:
        _write(tally, arguments, seconds)


if __name__ == "__main__":
    sys.exit(main())
