"""Block by block over flat arrays: what generated NumPy code is written in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[np.generic]

BLOCK = 32768
"""Elements worked on at a time: few enough that a handful of blocks stay in the second-level cache, and enough that the
calls cost little beside the work."""


def blocks(arrays: Sequence[AnyArray], scratch: Sequence[AnyArray]) -> Iterator[tuple[AnyArray, ...]]:
    """Yield matching blocks of flat arrays of one size, followed by as much of each scratch array."""
    size = arrays[0].size
    full = tuple(scratch)
    for start in range(0, size, BLOCK):
        stop = start + BLOCK
        work = full if stop <= size else tuple(array[: size - start] for array in full)
        yield (*(array[start:stop] for array in arrays), *work)


def total(block: AnyArray) -> float:
    """Return the sum of a block in float64."""
    return float(np.sum(block, dtype=np.float64))


def inner(left: AnyArray, right: AnyArray) -> float:
    """Return the inner product of two blocks in float64."""
    return float(np.multiply(left, right, dtype=np.float64).sum())


def largest(block: AnyArray) -> float:
    """Return the largest element of a block; NaN if one is."""
    return float(np.max(block))
