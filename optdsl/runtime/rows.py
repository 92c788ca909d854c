"""The rows of a parameter: the elements that share an index of the first axis, and the numbers each row has.

In a flat array a row is a run of `width` elements. A parameter without a second axis has rows of one element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from optdsl.runtime.blocks import PRODUCTS, AnyArray, inner, longest
from optdsl.runtime.half import Half, working

Numbers = npt.NDArray[np.float64]

ROOTED = frozenset({"norm", "rms"})
"""Reductions that end with a root: of the sum of squares, or of their mean."""
DIVIDED = frozenset({"mean", "rms"})
"""Reductions that are divided by the number of elements."""


def row_width(shape: Sequence[int]) -> int:
    """Return how many elements a row has, at least 1."""
    return max(1, prod(shape[1:]))


class Part(NamedTuple):
    """What a block holds: the rows from `first` up to `last`, or a part of the row `first` where it is `within`."""

    first: int
    last: int
    within: bool


@dataclass(slots=True)
class Rows:
    """The rows of one parameter, with a float64 number for each and for each reduction of a rule.

    `ndim` is the parameter's number of axes, `size` that of its elements, `width` that of a row's.
    `values` is made once for a parameter, and kept between steps: 8 bytes for each row and reduction. Where nothing is
    reduced over the whole parameter, `some` rows are stepped at a time, whose numbers lie in a buffer of little size.
    """

    ndim: float
    size: float
    width: int
    values: Numbers

    @classmethod
    def of(cls, shape: Sequence[int], reductions: int) -> Rows:
        """Return the rows of a parameter of some shape."""
        size, width = prod(shape), row_width(shape)
        return cls(float(len(shape)), float(size), width, np.zeros((reductions, size // width), np.float64))

    def some(self, room: Numbers, reductions: int, count: int) -> Rows:
        """Return so many rows like these, with their numbers in a buffer."""
        return Rows(self.ndim, self.size, self.width, room[: reductions * count].reshape(reductions, count))

    def begin(self, index: int, start: float) -> None:
        """Set the number that a reduction has in every row before anything is accumulated."""
        self.values[index].fill(start)

    def blocks(
        self, arrays: Sequence[AnyArray | Half | None], scratch: Sequence[AnyArray]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield what each block holds, then what `blocks` yields. A block is of whole rows, or within one.

        A block is no longer than a scratch array, which is only short where rows are shorter.
        """
        there = [array for array in arrays if array is not None]
        halves = [array for array in there if isinstance(array, Half)]
        size = there[0].size
        length = longest(there, halves, scratch)
        if size <= length and not halves:
            if size:
                yield (Part(0, size // self.width, False), *arrays, *(array[:size] for array in scratch))
            return
        step = length // self.width * self.width if self.width <= length else length
        start = 0
        while start < size:
            row = start // self.width
            stop = min(start + step, size if self.width <= length else (row + 1) * self.width)
            part = Part(row, -(-stop // self.width), self.width > length)
            work = (array if array.size == stop - start else array[: stop - start] for array in scratch)
            yield (part, *(None if array is None else array[start:stop] for array in arrays), *work)
            for half in halves:
                half.keep(slice(start, stop))
            start = stop

    def total(self, index: int, part: Part, block: AnyArray) -> None:
        """Add up a block row by row."""
        if part.within:
            self.values[index, part.first] += np.sum(block, dtype=np.float64)
        else:
            block.reshape(-1, self.width).sum(axis=1, dtype=np.float64, out=self.values[index, part.first : part.last])

    def inner(self, index: int, part: Part, left: AnyArray, right: AnyArray) -> None:
        """Add up the products of two blocks row by row, holding few products at once."""
        if part.within:
            self.values[index, part.first] += inner(left, right)
            return
        step = max(1, PRODUCTS // self.width)
        for first in range(part.first, part.last, step):
            some = Part(first, min(first + step, part.last), False)
            where = slice((first - part.first) * self.width, (some.last - part.first) * self.width)
            self.total(index, some, np.multiply(left[where], right[where], dtype=np.float64))

    def largest(self, index: int, part: Part, block: AnyArray) -> None:
        """Find the largest element of a block in each row; NaN if one is."""
        values = self.values[index, part.first : part.last]
        np.maximum(values, block.reshape(len(values), -1).max(axis=1), out=values)

    def finish(self, index: int, fold: str) -> None:
        """Turn what was accumulated over each row into the value of a reduction."""
        finish(self.values[index], fold, self.width)

    def spread(self, index: int, part: Part, out: AnyArray) -> None:
        """Give each element of a block the value of its row, rounded."""
        values = self.values[index, part.first : part.last]
        np.copyto(out.reshape(len(values), -1), values[:, np.newaxis], casting="same_kind")


def finish(values: Numbers, fold: str, width: int) -> None:
    """Turn sums over rows of some width into the values of a reduction, in place."""
    if fold in DIVIDED:
        values /= width
    if fold in ROOTED:
        np.sqrt(values, out=values)
    if fold == "amax":
        values += 0.0  # of zeros it is +0, whatever order they are looked at


def of_rows(fold: str, parameter: AnyArray, *args: AnyArray | float) -> AnyArray:
    """Return a reduction over the rows of arrays of a parameter's shape, each element with the value of its row."""
    width = row_width(parameter.shape)
    flat = [np.broadcast_to(np.asarray(arg), parameter.shape).reshape(-1, width).astype(np.float64) for arg in args]
    if fold == "amax":
        values = flat[0].max(axis=1, initial=-np.inf)
    else:
        values = (flat[0] if fold in ("sum", "mean") else flat[0] * flat[-1]).sum(axis=1)
    finish(values, fold, width)
    return np.repeat(values, width).astype(working(parameter.dtype)).reshape(parameter.shape)
