"""What the choices of the NumPy target rest on: block sizes, where an arena pays, and what operations cost.

``python benchmarks/numpy_parts.py [--rounds N]`` prints three tables: nanoseconds per element of some operations,
microseconds for each of many small tensors with and without an arena, and milliseconds of an Adam step of 16 million
float32 by the size of a block. What is compared is timed in turn, round by round; the least is printed, because
whatever else a machine does only adds to it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from itertools import count

import numpy as np

from optdsl.loading import load
from optdsl.runtime import blocks, layout, scratch

THREADS = "OPTDSL_NUM_THREADS"


def least(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each in seconds, after a first time that doesn't count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: min(taken) for name, taken in times.items()}


def show(title: str, row: Mapping[str, float], unit: float, digits: int = 1) -> None:
    """Print a row of a table."""
    print(f"{title:24}", *(f"{name} {value / unit:.{digits}f}" for name, value in row.items()), sep="  ")


def block_sizes(rounds: int) -> None:
    """Time a large step by the size of a block, which is set here where modules have taken it over."""
    x, g = (np.random.default_rng(seed).standard_normal(1 << 24, dtype=np.float32) for seed in (1, 2))
    optimizer = load("adam", "numpy")([x])

    def step(kilobytes: int) -> None:
        blocks.BLOCK_BYTES = scratch.BLOCK_BYTES = kilobytes << 10
        optimizer.step([g])

    kept = blocks.BLOCK_BYTES
    for threads in ("1", "2"):
        os.environ[THREADS] = threads
        sizes = {f"{size} KiB": lambda size=size: step(size) for size in (32, 64, 128, 256, 512)}
        show(f"blocks, {threads} threads, ms", least(sizes, rounds), 1e-3)
    blocks.BLOCK_BYTES = scratch.BLOCK_BYTES = kept


def small_tensors(rounds: int) -> None:
    """Time steps of many small tensors, each by itself and in an arena."""
    kept = layout.SMALL_BYTES
    for size in (100, 1000, 2000, 4000, 8000, 16000):
        number = min(1000, (1 << 20) // size)
        given = [np.full(size, 0.5, np.float32) for _ in range(number)]
        works: dict[str, Callable[[], object]] = {}
        for name, limit in (("each by itself", -1), ("in an arena", 1 << 20)):
            optimizer = load("adam", "numpy")([np.ones(size, np.float32) for _ in range(number)])
            layout.SMALL_BYTES = limit  # read at the first step, when the leaves are laid out
            optimizer.step(given)
            works[name] = lambda optimizer=optimizer, given=given: optimizer.step(given)
        show(f"{number} x {size}, us each", least(works, rounds), number * 1e-6)
    layout.SMALL_BYTES = kept


def operations(rounds: int) -> None:
    """Time operations on a block, with data of their own each time, as branches would be learnt otherwise."""
    length, fresh = 1 << 17, count()
    chance = np.random.default_rng(1)
    data = [chance.standard_normal(length, dtype=np.float32) for _ in range(32)]
    masks = [values < 0 for values in data]
    out = np.empty(length, np.float32)

    def masked(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> None:
        np.copyto(out, b)
        np.copyto(out, a, where=mask)

    def in_place(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> None:
        np.copyto(out, a)
        np.sign(out, out=out)

    tried: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], object]] = {
        "multiply": lambda a, b, mask: np.multiply(a, b, out=out),
        "pick": lambda a, b, mask: blocks.pick(mask, a, b, out),
        "pick numbers": lambda a, b, mask: blocks.pick(mask, 0.5, 1.0, out),
        "copyto where": masked,
        "where": lambda a, b, mask: np.where(mask, a, b),
        "sign": lambda a, b, mask: np.sign(a, out=out),
        "copyto, sign in place": in_place,
        "maximum": lambda a, b, mask: np.maximum(a, b, out=out),
        "maximum number": lambda a, b, mask: np.maximum(a, 0.5, out=out),
    }

    def sweep(work: Callable[[np.ndarray, np.ndarray, np.ndarray], object]) -> None:
        shift = next(fresh)
        for index, values in enumerate(data):
            work(values, data[(index + 1 + shift) % 32], masks[(index + 2 + shift) % 32])

    row = least({name: lambda work=work: sweep(work) for name, work in tried.items()}, rounds)
    show("operations, ns", row, 32 * length * 1e-9, 2)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description="Print what the choices of the NumPy target rest on.")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="times each is timed (9)")
    rounds = parser.parse_args().rounds
    operations(rounds)
    os.environ[THREADS] = "1"
    small_tensors(rounds)
    block_sizes(rounds)


if __name__ == "__main__":
    main()
