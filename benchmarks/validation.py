"""Time what validating the simplified forms of each bundled rule takes, and simplifying it in all.

    python benchmarks/validation.py [NAME ...] [--rounds 9]

Prints milliseconds of processor time, the median of some runs in one process, over all variants of a rule, and how many
forms were looked at. Loading SymPy, where it is asked, is left out.
"""

from __future__ import annotations

import argparse
import statistics
import time

from optdsl import bundled, pipeline
from optdsl.ir.nodes import Expr, Rule
from optdsl.passes import improve
from optdsl.passes.columns import Settings
from optdsl.passes.validate import Trial
from optdsl.source import SourceFile


class TimedTrial(Trial):
    """A trial that adds up the time it takes."""

    seconds = 0.0
    forms = 0

    def __init__(self, written: Expr, settings: Settings) -> None:
        start = time.process_time()
        super().__init__(written, settings)
        TimedTrial.seconds += time.process_time() - start

    def differs(self, form: Expr, read: bool = True) -> str:
        """Return what differs, as a trial does."""
        start = time.process_time()
        found = super().differs(form, read)
        TimedTrial.seconds += time.process_time() - start
        TimedTrial.forms += 1
        return found


def measure(rule: Rule, rounds: int) -> tuple[float, float, int]:
    """Return the median seconds of validating and of simplifying a rule, and the forms that were validated."""
    validating, simplifying = [], []
    for _ in range(rounds + 1):
        TimedTrial.seconds, TimedTrial.forms = 0.0, 0
        start = time.process_time()
        pipeline.kernels(rule)
        simplifying.append(time.process_time() - start)
        validating.append(TimedTrial.seconds)
    return statistics.median(validating[1:]), statistics.median(simplifying[1:]), TimedTrial.forms


def main() -> None:
    """Time every rule and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=bundled.names())
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    vars(improve)["Trial"] = TimedTrial
    print(f"{'rule':<16} {'validation':>12} {'in all':>10} {'forms':>7}")
    for name in arguments.names:
        path = bundled.path(name)
        if path is None:
            parser.error(f"there is no bundled rule called {name}")
        rule = pipeline.rule_of(SourceFile(str(path), path.read_text(encoding="utf-8")))
        validating, whole, forms = measure(rule, arguments.rounds)
        print(f"{name:<16} {validating * 1e3:>9.1f} ms {whole * 1e3:>7.1f} ms {forms:>7}")


if __name__ == "__main__":
    main()
