"""Random rules through the simplifier: `python -m tests.fuzz --count 2000 --seed 1`.

Prints each rule that got worse, with the point at which it did, and how many there were. The exit status says whether
there were any.
"""

from __future__ import annotations

import argparse
import sys
import time

from optdsl.pipeline import as_written, kernels, rule_of
from optdsl.source import SourceFile

from .generate import Generator
from .judge import findings


def main() -> int:
    """Run the rules and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="random rules through the simplifier")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", type=int, default=8, help="points at which each rule is tried")
    arguments = parser.parse_args()
    generator = Generator(arguments.seed)
    worse = changed = rejected = 0
    start = time.perf_counter()
    for number in range(arguments.count):
        text = generator.rule()
        rule = rule_of(SourceFile(f"{number}.opt", text))
        program = kernels(rule)
        changed += program.kernels != as_written(rule)
        rejected += bool(program.rejected)
        found = list(findings(program, number, arguments.points))
        worse += bool(found)
        for finding in found[:3]:
            print(f"rule {number}: {finding}")
        if found:
            print(text)
    seconds = time.perf_counter() - start
    print(
        f"{arguments.count} rules of seed {arguments.seed} in {seconds:.0f} s: {changed} simplified, "
        f"{rejected} with forms that were rejected, {worse} worse at one of {arguments.points} points"
    )
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main())
