"""Block by block over flat arrays: what generated NumPy code is written in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir.storage import store as store
from optdsl.runtime.half import Half

PRODUCTS = 1 << 14
"""The most float64 products that are held at once."""

AnyArray = npt.NDArray[np.generic]

BLOCK_BYTES = 1 << 19
"""Size of a block of the parameter: a handful of them stay in the last-level cache, and an operation on one takes long
enough that threads of a step don't wait for the interpreter's lock between operations."""

BLOCK = BLOCK_BYTES // 4
"""The most elements in a block, which it has at float32."""


def blocks(arrays: Sequence[AnyArray | Half | None], scratch: Sequence[AnyArray]) -> Iterator[tuple[Any, ...]]:
    """Yield matching blocks of flat arrays of one size, followed by as much of each scratch array.

    None stands for a state that doesn't exist, and for each of its blocks. A block is no longer than a scratch array.
    """
    there = [array for array in arrays if array is not None]
    halves = [array for array in there if isinstance(array, Half)]
    size = there[0].size
    length = longest(there, halves, scratch)
    if size <= length and not halves:
        if size:
            yield (*arrays, *(array[:size] for array in scratch))
        return
    for start in range(0, size, length):
        stop = min(start + length, size)
        work = (array if array.size == stop - start else array[: stop - start] for array in scratch)
        yield (*(None if array is None else array[start:stop] for array in arrays), *work)
        for half in halves:
            half.keep(slice(start, stop))


def longest(there: Sequence[AnyArray | Half], halves: Sequence[Half], scratch: Sequence[AnyArray]) -> int:
    """Return how many elements a block of some arrays may have, of which some are of 16 bits."""
    rooms = (half.room.size for half in halves)
    most = BLOCK_BYTES // max(max(array.itemsize, 4) for array in there)
    return min([most, *rooms, *(array.size for array in scratch)])


_BITS: dict[int, np.dtype[np.unsignedinteger[Any]]] = {size: np.dtype(f"u{size}") for size in (1, 4, 8)}


def pick(mask: AnyArray, chosen: AnyArray | float, other: AnyArray | float, out: AnyArray) -> None:
    """Write `chosen` where `mask` is true and `other` elsewhere. `out` is a block that shares memory with neither.

    It works on the bits, which is several times faster than a copy under a mask, and hands on every NaN and zero as it
    is: `other ^ (chosen ^ other)*mask`.
    """
    bits = out.view(_BITS[out.itemsize])
    one, two = (np.asarray(value, out.dtype).view(bits.dtype) for value in (chosen, other))
    if one.ndim == two.ndim == 0:
        np.multiply(one ^ two, mask, out=bits)
    else:
        np.bitwise_xor(one, two, out=bits)
        np.multiply(bits, mask, out=bits)
    if two.ndim or two:
        np.bitwise_xor(bits, two, out=bits)


def total(block: AnyArray) -> float:
    """Return the sum of a block in float64."""
    return float(np.sum(block, dtype=np.float64))


def inner(left: AnyArray, right: AnyArray) -> float:
    """Return the inner product of two blocks in float64."""
    if left.size > PRODUCTS:
        # In halves, as NumPy adds them up itself, so that the products take little memory.
        half = left.size // 16 * 8
        return inner(left[:half], right[:half]) + inner(left[half:], right[half:])
    return float(np.multiply(left, right, dtype=np.float64).sum())


def largest(block: AnyArray) -> float:
    """Return the largest element of a block; NaN if one is; +0 of zeros."""
    return float(np.max(block, initial=-np.inf)) + 0.0
