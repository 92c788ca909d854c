"""Time each bundled rule on NumPy as simplified beside its equations as written, interleaved in one run.

    python benchmarks/simplified.py [NAME ...] [--elements 4000000] [--rounds 15]

Prints the median time of a step of one float32 tensor in both forms, and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import optdsl
from optdsl import bundled

Step = Callable[[], object]


def step_of(name: str, elements: int, exact: bool) -> Step:
    """Return a step of one tensor by a rule, simplified or as written."""
    chance = np.random.default_rng(0)
    x, g = (chance.standard_normal(elements, dtype=np.float32) for _ in range(2))
    optimizer = optdsl.load(name, target="numpy", exact=exact)([x])
    return lambda: optimizer.step([g])


def compare(name: str, elements: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds of a step as written and as simplified."""
    steps = [step_of(name, elements, exact) for exact in (True, False)]
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for step, taken in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if number >= 2:  # the first make states and warm the caches
                taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    """Time everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=bundled.names())
    parser.add_argument("--elements", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    print(f"{arguments.elements:,} float32 on NumPy, median of {arguments.rounds} interleaved steps")
    print(f"{'rule':<16} {'as written':>12} {'simplified':>12} {'ratio':>7}")
    ratios = []
    for name in arguments.names:
        written, simplified = compare(name, arguments.elements, arguments.rounds)
        ratios.append(simplified / written)
        print(f"{name:<16} {written * 1e3:>9.2f} ms {simplified * 1e3:>9.2f} ms {ratios[-1]:>7.2f}")
    print(f"{'median':<16} {'':>12} {'':>12} {statistics.median(ratios):>7.2f}")


if __name__ == "__main__":
    main()
