"""Faults in the compiler, and whether a test notices: `python -m tests.mutants --count 600 --seed 1`.

Prints each fault that no test noticed, unless the list of survivors says why it can't be noticed, and the share of the
others that was. The exit status says whether that share is below the goal.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .survivors import reasons
from .trying import ROOT, SKELETON, Mutant, mutants_of, tried

GOAL = 0.9
"""The share of faults that tests are to notice."""

TESTS = {
    "resolve": (
        "tests/test_resolve.py", "tests/test_inherit.py", "tests/test_chain.py", "tests/diagnostics/test_golden.py",
    ),
    "passes": ("tests/passes", "tests/targets/test_golden.py"),
    "targets": (
        "tests/targets/test_golden.py", "tests/targets/test_agreement.py", "tests/targets/test_remainder.py",
        "tests/targets/test_views.py", "tests/targets/test_rows.py", "tests/test_show.py",
    ),
}  # fmt: skip
"""The tests that faults in each part of the package are tried with."""


def main() -> int:
    """Try faults and report."""
    arguments = _arguments()
    start = time.perf_counter()
    outcomes: dict[Mutant, str] = {}
    for part in arguments.part or TESTS:
        chosen = _sample(part, arguments)
        trials = tried(chosen, TESTS[part], arguments.jobs, arguments.most, _told)
        for nodeid in trials.failing:
            print(f"{part}: {nodeid} fails as it is, and is left out", file=sys.stderr)
        outcomes |= trials.outcomes
        print(f"{part}: {Counter(outcome.partition(':')[0] for outcome in trials.outcomes.values())}", file=sys.stderr)
    summary = _summary(outcomes) | {"seed": arguments.seed, "seconds": round(time.perf_counter() - start)}
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _print(summary)
    return int(summary["score"] < GOAL)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="faults in the compiler, one by one")
    parser.add_argument("--part", action="append", choices=TESTS, help="a part of the package; all unless given")
    parser.add_argument("--module", action="append", help="a file, such as optdsl/passes/schedule.py; all unless given")
    parser.add_argument("--count", type=int, default=600, help="how many faults, shared out among the parts")
    parser.add_argument("--seed", type=int, default=1, help="of the choice among all faults")
    parser.add_argument("--most", type=float, default=20.0, help="seconds of tests that a fault is tried with")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--json", metavar="FILE", help="write a summary with every survivor")
    return parser.parse_args()


def _sample(part: str, arguments: argparse.Namespace) -> list[Mutant]:
    """Return some of the faults of a part of the package, the same for the same seed and files."""
    files = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "optdsl" / part).glob("*.py"))]
    files += [SKELETON] if part == "targets" else []
    every = [
        mutant for path in files if not arguments.module or path in arguments.module for mutant in mutants_of(path)
    ]
    share = arguments.count // len(arguments.part or TESTS)
    return random.Random(arguments.seed).sample(every, min(share, len(every)))


def _told(mutant: Mutant, outcome: str) -> None:
    if not outcome.startswith("killed"):
        print(f"{outcome}: {mutant.path}:{mutant.fault.line} {mutant.fault.key}", flush=True)


def _summary(outcomes: dict[Mutant, str]) -> dict[str, Any]:
    tried_ = {mutant: outcome for mutant, outcome in outcomes.items() if outcome != "unusable"}
    left = {mutant.key: outcome for mutant, outcome in tried_.items() if not outcome.startswith("killed")}
    known = reasons()
    equivalent = sorted(key for key in left if key in known and known[key].startswith("equivalent"))
    killed = len(tried_) - len(left)
    return {
        "faults": len(tried_), "killed": killed, "score": killed / max(1, len(tried_)),
        "score_without_equivalent": killed / max(1, len(tried_) - len(equivalent)),
        "equivalent": equivalent, "survivors": {key: outcome for key, outcome in left.items() if key not in known},
        "explained": {key: known[key] for key in left if key in known and key not in equivalent},
    }  # fmt: skip


def _print(summary: dict[str, Any]) -> None:
    for key in ("faults", "killed", "seconds"):
        print(f"{key}: {summary[key]}")
    for key in ("score", "score_without_equivalent"):
        print(f"{key}: {summary[key]:.1%}")
    for key in ("equivalent", "explained", "survivors"):
        print(f"{key}: {len(summary[key])}")


if __name__ == "__main__":
    sys.exit(main())
