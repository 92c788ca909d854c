"""Time each bundled rule on NumPy as simplified beside its equations as written, interleaved in one run.

    OPTDSL_NUM_THREADS=1 python benchmarks/simplified.py [NAME ...] [--elements 4000000] [--rounds 25]

Prints the median time of a step of one float32 tensor in both forms, and their ratio. Rules of which simplifying
changes nothing are named and left out. Every few rounds all arrays are made anew, in the other order, because where
they happen to lie in memory can matter more than what is compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import optdsl
from optdsl import bundled
from optdsl.pipeline import compile_source
from optdsl.runtime.kernel import threads
from optdsl.source import SourceFile

Step = Callable[[], object]
ROUNDS_TOGETHER = 5


def step_of(name: str, elements: int, exact: bool) -> Step:
    """Return a step of one tensor by a rule, simplified or as written."""
    chance = np.random.default_rng(0)
    x, g = (chance.standard_normal(elements, dtype=np.float32) for _ in range(2))
    step = optdsl.load(name, target="numpy", exact=exact)([x]).step
    for _ in range(2):  # the first make states and warm the caches
        step([g])
    return lambda: step([g])


def compare(name: str, elements: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds of a step as written and as simplified."""
    times: dict[bool, list[float]] = {True: [], False: []}
    order = [True, False]
    while len(times[True]) < rounds:
        steps = {exact: step_of(name, elements, exact) for exact in order}
        for _ in range(ROUNDS_TOGETHER):
            for exact, step in steps.items():
                start = time.perf_counter()
                step()
                times[exact].append(time.perf_counter() - start)
        order.reverse()
    return statistics.median(times[True]), statistics.median(times[False])


def changes(name: str) -> bool:
    """Return whether simplifying changes the code of a rule."""
    path = bundled.path(name)
    assert path is not None
    source = SourceFile(str(path), path.read_text(encoding="utf-8"))
    written, simplified = (compile_source(source, "numpy", "rule", exact=exact) for exact in (True, False))
    return written != simplified


def main() -> None:
    """Time everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=bundled.names())
    parser.add_argument("--elements", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    changed = [name for name in arguments.names if changes(name)]
    print(
        f"{arguments.elements:,} float32 on NumPy, {threads()} threads, median of {arguments.rounds} interleaved steps"
    )
    print(f"{'rule':<16} {'as written':>12} {'simplified':>12} {'ratio':>7}")
    ratios = []
    for name in changed:
        written, simplified = compare(name, arguments.elements, arguments.rounds)
        ratios.append(simplified / written)
        print(f"{name:<16} {written * 1e3:>9.2f} ms {simplified * 1e3:>9.2f} ms {ratios[-1]:>7.2f}")
    if ratios:
        print(f"{'median':<16} {'':>12} {'':>12} {statistics.median(ratios):>7.2f}")
    print(f"the same code: {', '.join(name for name in arguments.names if name not in changed) or 'none'}")


if __name__ == "__main__":
    main()
