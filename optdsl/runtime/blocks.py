"""Block by block over flat arrays: what generated NumPy code is written in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[np.generic]

BLOCK_BYTES = 1 << 19
"""Size of a block of the parameter: a handful of them stay in the last-level cache, and an operation on one takes long
enough that threads of a step don't wait for the interpreter's lock between operations."""

BLOCK = BLOCK_BYTES // 4
"""The most elements in a block, which it has at float32."""


def blocks(arrays: Sequence[AnyArray | None], scratch: Sequence[AnyArray]) -> Iterator[tuple[Any, ...]]:
    """Yield matching blocks of flat arrays of one size, followed by as much of each scratch array.

    None stands for a state that doesn't exist, and for each of its blocks.
    """
    there = [array for array in arrays if array is not None]
    size = there[0].size
    length = BLOCK_BYTES // max(array.itemsize for array in there)
    for start in range(0, size, length):
        stop = min(start + length, size)
        work = (array if array.size == stop - start else array[: stop - start] for array in scratch)
        yield (*(None if array is None else array[start:stop] for array in arrays), *work)


def total(block: AnyArray) -> float:
    """Return the sum of a block in float64."""
    return float(np.sum(block, dtype=np.float64))


def inner(left: AnyArray, right: AnyArray) -> float:
    """Return the inner product of two blocks in float64."""
    return float(np.multiply(left, right, dtype=np.float64).sum())


def largest(block: AnyArray) -> float:
    """Return the largest element of a block; NaN if one is; +0 of zeros."""
    return float(np.max(block, initial=-np.inf)) + 0.0
