"""Generated C under gcc's sanitizers: `python -m tests.sanitize all --random 500 --seed 1`.

Builds every bundled rule, a chain of every bundled transform and as many random rules as asked for, and steps them at
awkward sizes. Prints what the sanitizers found, and how much was stepped. The exit status says whether anything was
found.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from .building import SANITIZERS, build
from .cases import Case, bundled_cases, random_cases
from .running import Finding, in_parallel

AT_ONCE = 30
"""Rules that are built before they are stepped, so that their libraries don't fill the disk."""


def main() -> int:
    """Build, step and report."""
    arguments = _arguments()
    kinds = ("both", "thread") if arguments.sanitizer == "all" else (arguments.sanitizer,)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="optdsl-sanitize-") as folder:
        os.environ["OPTDSL_CACHE_DIR"] = f"{folder}/cache"
        for kind in kinds:
            trouble = SANITIZERS[kind].trouble(Path(folder))
            if trouble:
                print(trouble, file=sys.stderr)
                return 3
            failed += _run(kind, arguments)
    return int(failed > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sanitize", description="generated C under sanitizers")
    parser.add_argument(
        "sanitizer", nargs="?", default="all", choices=("address", "undefined", "both", "thread", "all")
    )
    parser.add_argument("--rules", nargs="*", help="bundled rules; all, and chains of all transforms, unless named")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="how many random rules besides")
    parser.add_argument("--seed", type=int, default=1, help="of the random rules")
    parser.add_argument("--start", type=int, default=0, metavar="K", help="number of the first random rule")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    return parser.parse_args()


def _cases(arguments: argparse.Namespace) -> Iterator[Case]:
    if arguments.rules is None or arguments.rules:
        yield from bundled_cases(arguments.rules or ())
    yield from random_cases(arguments.random, arguments.seed, arguments.start)


def _run(kind: str, arguments: argparse.Namespace) -> int:
    """Step all cases under one sanitizer; return how many had a finding."""
    start = time.perf_counter()
    cases, stepped, found = _cases(arguments), 0, 0
    while some := list(itertools.islice(cases, AT_ONCE)):
        with tempfile.TemporaryDirectory(prefix="optdsl-sanitize-") as name:
            folder = Path(name)
            stems = _built(folder, some, kind, arguments.jobs)
            for finding in in_parallel(arguments.jobs, folder, kind, stems):
                found += 1
                _show(finding, some)
        stepped += len(some)
        print(f"{SANITIZERS[kind].name}: {stepped} rules, {found} with findings so far", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - start
    print(f"{SANITIZERS[kind].name}: {stepped} rules stepped in {seconds:.0f} s, {found} with findings", flush=True)
    return found


def _built(folder: Path, cases: Sequence[Case], kind: str, jobs: int) -> list[str]:
    """Build rules in processes of their own and return their stems."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("forkserver")) as pool:
        list(pool.map(partial(build, folder, kind), cases))
    return [case.stem for case in cases]


def _show(finding: Finding, cases: Sequence[Case]) -> None:
    """Print a finding, with the text of a rule that is in no file."""
    print(f"{finding.stem}: {finding.headline}\n{finding.report}")
    source = next(case.source for case in cases if case.stem == finding.stem)
    if not Path(source.name).is_file():
        print(source.text)


if __name__ == "__main__":
    sys.exit(main())
