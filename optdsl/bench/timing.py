"""Timing contestants side by side: in one process, in turn, in an order drawn anew for each round."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from optdsl.bench.data import Contestant

REST = 0.01
"""Seconds before each sample, in which the idle threads of other libraries stop spinning."""
WARM_UP = 5
"""Steps before any is timed: states come into being, and what is compiled late is compiled."""
SAMPLE = 5e-4
"""Seconds that a sample takes at least, in which a fast contestant makes several steps; each is timed by itself."""
MOST_STEPS = 20
BUDGET = 3.0
"""Seconds for a contestant of a measurement, all its rounds together, where it isn't very slow."""
FEWEST, MOST = 5, 60
"""Rounds."""

Times = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds of a step: the median of all samples, and the quartiles."""

    median: float
    first: float
    third: float

    @classmethod
    def of(cls, seconds: list[float]) -> Spread:
        """Return those of some samples, one at least."""
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0])
        first, median, third = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, first, third)


def warm_up(contestant: Contestant, fresh: bool) -> float:
    """Make the first steps and return about how many seconds one takes."""
    seconds = []
    for _ in range(WARM_UP):
        if fresh:
            contestant.renew()
        start = time.perf_counter()
        contestant.step()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def rounds_for(estimates: Mapping[str, float]) -> int:
    """Return how many rounds suit contestants that take about so many seconds a step."""
    slowest = max(seconds * steps_for(seconds) for seconds in estimates.values())
    return max(FEWEST, min(MOST, int(BUDGET / (slowest + REST))))


def steps_for(seconds: float) -> int:
    """Return how many steps of about so many seconds make a sample."""
    return max(1, min(MOST_STEPS, math.ceil(SAMPLE / max(seconds, 1e-9))))


def measure(
    contestants: Mapping[str, Contestant], estimates: Mapping[str, float], rounds: int, fresh: bool, seed: int,
    tick: Callable[[], None] = lambda: None,
) -> Times:  # fmt: skip
    """Return the samples of each contestant, a round each: seconds of a step.

    Args:
        contestants: What is timed, warm.
        estimates: About how many seconds a step of each takes.
        rounds: How many samples to take.
        fresh: Whether gradients are in other arrays at every step; they are made before the clock starts.
        seed: Sets the order within the rounds.
        tick: Called after each round.
    """
    order = list(contestants)
    draw = random.Random(seed)
    times: Times = {name: [] for name in contestants}
    with _without_collection():
        for _ in range(rounds):
            draw.shuffle(order)
            for name in order:
                time.sleep(REST)
                times[name].append(_sample(contestants[name], steps_for(estimates[name]), fresh))
            tick()
    return times


def _sample(contestant: Contestant, steps: int, fresh: bool) -> float:
    """Return the mean seconds of some steps in a row."""
    taken = 0
    for _ in range(steps):
        if fresh:
            contestant.renew()
        start = time.perf_counter_ns()
        contestant.step()
        taken += time.perf_counter_ns() - start
    return taken / steps / 1e9


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the collector of garbage still, which would fall into one contestant's time."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
