"""Work arrays that steps on NumPy borrow, so that none is made anew in a steady state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from optdsl.runtime.blocks import BLOCK_BYTES, AnyArray

MOST_BYTES = 3 << 20
"""Work arrays of a step that can be shortened; with what else a step needs this stays under 4 MiB."""

LINE = 64
"""Bytes of a cache line, at which work arrays begin."""

Bytes = npt.NDArray[np.uint8]
Work = tuple[list[AnyArray], list[AnyArray]]
"""The work arrays of one thread: of the parameter's element type, and of truth values."""


def block_length(dtype: np.dtype[np.generic]) -> int:
    """Return how many elements a block of a type has; truth values go along with the longest."""
    return BLOCK_BYTES // max(dtype.itemsize, 4)


def aligned(buffer: Bytes) -> Bytes:
    """Return a buffer from its first cache line on."""
    return buffer[-buffer.ctypes.data % LINE :]


class Scratch:
    """Buffers that were borrowed once, for whoever steps next."""

    def __init__(self) -> None:
        self.free: list[Bytes] = []

    @contextmanager
    def lent(self, size: int) -> Iterator[Bytes]:
        """Lend at least `size` bytes, from a cache line on. MemoryError before anything is lent."""
        buffer: Bytes | None
        try:
            buffer = self.free.pop()  # not looked at before: another thread may borrow at the same time
        except IndexError:
            buffer = None
        if buffer is None or buffer.nbytes < size + LINE:
            buffer = None  # so that the smaller one is gone before there is another
            buffer = np.empty(size + LINE, np.uint8)
        try:
            yield aligned(buffer)
        finally:
            self.free.append(buffer)


class Share:
    """How the work arrays of some threads lie in a buffer.

    The arrays of different element types lie over one another, because a thread uses one type at a time. Where
    `shortened`, they may be shorter than a block, so that those of all threads fit into `MOST_BYTES`.
    """

    def __init__(self, numbers: int, masks: int, longest: int, workers: int, shortened: bool) -> None:
        self.numbers, self.masks, self.workers = numbers, masks, workers
        # A multiple of 64 elements, so that arrays of truth values end at a cache line too.
        self.longest = -(-longest // LINE) * LINE
        whole = max(self._bytes(np.dtype(kind), self.longest) for kind in (np.float32, np.float64))
        self.each = min(whole, MOST_BYTES // workers // LINE * LINE) if shortened else whole
        self.size = self.each * workers

    def _bytes(self, dtype: np.dtype[np.generic], length: int) -> int:
        length = min(length, block_length(dtype))
        return (self.numbers * dtype.itemsize + self.masks) * length

    def length(self, dtype: np.dtype[np.generic]) -> int:
        """Return how many elements a work array has."""
        length = min(self.longest, block_length(dtype))
        if self._bytes(dtype, length) > self.each:
            length = self.each // (self.numbers * dtype.itemsize + self.masks) // LINE * LINE
        return length

    def arrays(self, buffer: Bytes, dtype: np.dtype[np.generic]) -> list[Work]:
        """Return the work arrays of each thread for an element type."""
        length = self.length(dtype)
        return [self._carve(buffer[start : start + self.each], dtype, length) for start in self._starts()]

    def _starts(self) -> Iterator[int]:
        return iter(range(0, self.size, self.each)) if self.each else iter([0] * self.workers)

    def _carve(self, region: Bytes, dtype: np.dtype[np.generic], length: int) -> Work:
        step = length * dtype.itemsize
        numbers: list[AnyArray] = [region[i * step : (i + 1) * step].view(dtype) for i in range(self.numbers)]
        rest = region[self.numbers * step :]
        masks: list[AnyArray] = [rest[i * length : (i + 1) * length].view(np.bool_) for i in range(self.masks)]
        return numbers, masks


pool = Scratch()
"""The buffers of this process."""
