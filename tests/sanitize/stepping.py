"""What is done with the rules in a folder, in a process of its own.

That is `python -m tests.sanitize.stepping HOW FOLDER STEM…`. It prints the name of each rule before it is stepped, so
that whoever started the process knows where it ended. It needs nothing of the compiler: the modules are there already,
their libraries built with a sanitizer.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import itertools
import os
import resource
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime import gather
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.options import common_options

from .building import SANITIZERS

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Options = dict[str, Any]
Kinds = Sequence[tuple[Shape, str]]

AWKWARD = tuple(
    itertools.product(
        (
            *((n,) for n in (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257)),
            *((), (1, 9), (9, 1), (3, 5, 7), (0, 4), (4, 0), (2, 0, 3), (40, 33)),
        ),
        ("float32", "float64"),
    )
)
"""Around lanes, runs and cache lines; without an axis, with one element a row, with rows of nothing."""

LARGE = tuple(
    zip(
        ((4095,), (4097,), (65535,), (65537,), (2, 65537), (1000, 65), (9999, 3)),
        itertools.cycle(("float32", "float64")),
        strict=False,
    )
)
"""Around pieces and blocks, with rows longer than a block, and enough elements for three threads."""

SPLIT = tuple(
    itertools.product(((270_001,), (2, 70_001), (2000, 33), *((n,) for n in range(20)), ()), ("float32", "float64"))
)
"""Enough elements of each type for eight threads, with rows longer than a block, and small tensors beside."""

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-40, 3.4e38, -3.4e38)

SECONDS = 60
"""Processor time that a rule may take."""

SLACK = 4096
"""Bytes by which what is allocated may differ between two looks at it, with Python's own caches in between."""


def tensors(kinds: Kinds, seed: int) -> list[Array]:
    """Return arrays of random numbers, each in memory of its own that is no larger than it."""
    chance = np.random.default_rng(seed)
    made = [np.empty(shape, dtype) for shape, dtype in kinds]
    for array in made:
        array[...] = chance.standard_normal(array.shape, np.float32)
    return made


def apart(arrays: Sequence[Array]) -> list[Array]:
    """Return arrays of the same numbers that can't be read as they lie: strided, by columns, or a byte off."""
    made = []
    for number, array in enumerate(arrays):
        strided = np.empty((*array.shape, 2), array.dtype)[..., 0]
        shifted = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        copy = (strided, np.empty(array.shape, array.dtype, "F"), shifted)[number % 3]
        copy[...] = array
        made.append(copy)
    return made


def gradients(kinds: Kinds) -> Iterator[list[Array | None]]:
    """Yield the gradients of some steps: all plain, some missing, special values, none in the usual layout."""
    yield list(tensors(kinds, 1))
    yield [None if number % 3 == 1 else given for number, given in enumerate(tensors(kinds, 2))]
    special = tensors(kinds, 3)
    for array in special:
        flat = array.reshape(-1)
        for place, value in enumerate(SPECIAL[: flat.size]):
            flat[-1 - place] = value
    yield list(special)
    yield list(apart(tensors(kinds, 4)))


def option_sets(made: type[Optimizer]) -> Iterator[Options]:
    """Yield settings that reach every variant: the defaults, each switch turned, each 0 made positive, all of them."""
    switches: Options = {}
    numbers: dict[str, float] = {}
    for hyper in made.rule.hypers:
        value = numbers[hyper.name] = hyper.default_at(numbers)
        if hyper.boolean:
            switches[hyper.name] = not value
        elif value == 0 and (hyper.interval is None or 0.25 in hyper.interval):
            switches[hyper.name] = 0.25
        elif value != 0 and hyper.interval is not None and 0.0 in hyper.interval:
            switches[hyper.name] = 0.0
    yield {}
    for name, value in switches.items():
        yield {name: value}
    if len(switches) > 1:
        yield switches
    yield chosen(made, {"clip_norm": 0.5})
    yield chosen(made, {"clip_value": 0.25, "nonfinite": "skip", "maximize": True})


def chosen(made: type[Optimizer], options: Options) -> Options:
    """Return those of the common options that a rule leaves free."""
    free = common_options(made.rule)
    return {name: value for name, value in options.items() if name in free}


def stepped(made: type[Optimizer], kinds: Kinds, options: Options, steps: int = 4, odd: bool = False) -> None:
    """Step parameters of some kinds a few times; `odd` is for ones that lie otherwise than a kernel needs."""
    parameters = tensors(kinds, 0)
    optimizer = made(apart(parameters) if odd else parameters, **options)
    for given in itertools.islice(gradients(kinds), steps):
        optimizer.step(given)


def in_memory(made: type[Optimizer]) -> None:
    """Step a rule at sizes at which something may run over an end."""
    for options in option_sets(made):
        stepped(made, AWKWARD, options)
    stepped(made, AWKWARD, {}, odd=True)
    stepped(made, LARGE, {}, steps=2)


def kept(made: type[Optimizer]) -> None:
    """Raise AssertionError where every step keeps memory that it doesn't need."""
    allocated = getattr(ctypes.CDLL(None), "__sanitizer_get_current_allocated_bytes", None)
    if allocated is None:
        return  # not the sanitizer that counts
    allocated.restype = ctypes.c_size_t
    optimizer, given = made(tensors(AWKWARD, 0)), tensors(AWKWARD, 1)
    counts = []
    for _ in range(3):
        for _ in range(20):
            optimizer.step(given)
        gc.collect()
        counts.append(allocated())
    if counts[2] - counts[1] > SLACK:
        raise AssertionError(f"20 steps of {made.__name__} left {counts[2] - counts[1]} bytes behind")


def in_threads(made: type[Optimizer]) -> None:
    """Step large tensors on two threads and on eight, then small and large ones of two optimizers at once."""
    for threads in ("2", "8"):
        os.environ["OPTDSL_NUM_THREADS"] = threads
        stepped(made, SPLIT, {}, steps=1)
    stepped(made, SPLIT, chosen(made, {"clip_norm": 1.0, "nonfinite": "skip"}), steps=1)
    os.environ["OPTDSL_NUM_THREADS"] = "2"
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        stepped(made, LARGE, {}, steps=1)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def loaded(folder: Path, stem: str) -> type[Optimizer]:
    """Import a generated module and return its optimizer."""
    spec = importlib.util.spec_from_file_location(stem, folder / f"{stem}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    optimizer: type[Optimizer] = getattr(module, module.__all__[0])
    return optimizer


def main() -> None:
    """Step the rules that are named."""
    how, folder, *stems = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS * (len(stems) + 1),) * 2)
    warnings.simplefilter("ignore")
    with SANITIZERS[how].building():
        assert gather.function() is not None, "the library that reads arrays' addresses can't be built here"
    for stem in stems:
        print(f"stepping {stem}", flush=True)
        made = loaded(Path(folder), stem)
        if how == "thread":
            in_threads(made)
        else:
            in_memory(made)
            kept(made)
    print("done", flush=True)


if __name__ == "__main__":
    main()
