"""Time a step whose numbers are subnormal beside one whose numbers are ordinary, interleaved in one run.

    OPTDSL_NUM_THREADS=1 python benchmarks/subnormal.py [RULE ...] [--target c|numpy] [--elements 65536] [--rounds 40]

Processors take longer where a number is smaller than the smallest normal one (1.2e-38 in float32, 2.2e-308 in float64),
some a hundred times as long for that operation. Flushing such numbers to zero would change results, so that it is not
done here. Prints, for each rule, the processor time of a step with ordinary numbers, and by which factor it is longer
where all elements of one array are subnormal: the parameter, the gradient, the averages (states, under a gradient of 0:
what a dead unit comes to), or the squares (under a gradient whose square is). Processor time, unlike that of a clock on
the wall, leaves out what other processes do. Arrays are set anew before each step that is timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import optdsl

Array = npt.NDArray[np.floating]
SMALL = {"float32": 1e-40, "float64": 1e-310}
"""Subnormal, and so that a few operations later they still are."""
ROOTS = {"float32": 1e-20, "float64": 1e-155}
"""Numbers whose squares are subnormal."""


@dataclass(frozen=True)
class Case:
    """Factors of ordinary random numbers, and what the states are set to: None for what steps have made of them."""

    x: float = 1.0
    g: float = 1.0
    states: float | None = None


def cases(dtype: str) -> dict[str, Case]:
    """Return what is timed, by name; the first is what the others are compared with."""
    small, root = SMALL[dtype], ROOTS[dtype]
    return {
        "ordinary": Case(),
        "parameter": Case(x=small),
        "gradient": Case(g=small),
        "averages": Case(g=0.0, states=small),
        "squares": Case(g=root),
        "all": Case(x=small, g=small, states=small),
    }


class Timed:
    """One case of one rule."""

    def __init__(self, name: str, target: str, dtype: str, elements: int, case: Case) -> None:
        chance = np.random.default_rng(0)
        self.case = case
        ordinary = chance.standard_normal((2, elements)) + 3  # of one sign, so that none is near 0
        self.start, self.g = (values.astype(dtype) for values in ordinary * np.array([[case.x], [case.g]]))
        self.x = self.start.copy()
        self.optimizer = optdsl.load(name, target=target)([self.x])
        self.times: list[float] = []
        for _ in range(3):  # which make states
            self.optimizer.step([self.g])

    def step(self) -> None:
        """Set the arrays, and time a step."""
        self.x[...] = self.start
        for state in self.optimizer.state["0"].values():
            if self.case.states is not None and state.ndim:
                state[...] = self.case.states
        before = time.process_time()
        self.optimizer.step([self.g])
        self.times.append(time.process_time() - before)


def compare(name: str, target: str, dtype: str, elements: int, rounds: int) -> dict[str, float]:
    """Return the median processor time of a step in seconds, by case."""
    timed = {key: Timed(name, target, dtype, elements, case) for key, case in cases(dtype).items()}
    for _ in range(rounds):
        for each in timed.values():
            each.step()
    return {key: statistics.median(each.times) for key, each in timed.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", default=["adam", "momentum", "rmsprop"])
    parser.add_argument("--target", choices=("c", "numpy"), action="append")
    parser.add_argument("--dtype", choices=tuple(SMALL), action="append")
    parser.add_argument("--elements", type=int, default=1 << 16)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    names = list(cases("float32"))
    print(f"{'rule':<10} {'target':<6} {'dtype':<8} {'ordinary':>11}  " + "  ".join(f"{key:>9}" for key in names[1:]))
    for rule in given.rules or ["adam"]:
        for target in given.target or ["c", "numpy"]:
            for dtype in given.dtype or list(SMALL):
                medians = compare(rule, target, dtype, given.elements, given.rounds)
                usual = medians["ordinary"]
                factors = "  ".join(f"{medians[key] / usual:>8.2f}x" for key in names[1:])
                print(f"{rule:<10} {target:<6} {dtype:<8} {usual * 1e6:>8.0f} us  {factors}", flush=True)


if __name__ == "__main__":
    main()
