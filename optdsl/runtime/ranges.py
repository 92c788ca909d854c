"""The bytes that arrays occupy."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy.typing as npt
from numpy.lib.array_utils import byte_bounds


class Ranges:
    """The bytes that parameters and states occupy."""

    def __init__(self, arrays: Iterable[npt.NDArray[Any]]) -> None:
        spans = sorted(byte_bounds(array) for array in arrays if array.size)
        self.lows = [low for low, _ in spans]
        # The end of the array that ends last among those that begin there or before.
        self.reach = list(accumulate((high for _, high in spans), max))

    def meet(self, low: int, high: int) -> bool:
        """Return whether the bytes from `low` up to `high` may be theirs; yes too where arrays only interleave."""
        before = bisect_left(self.lows, high)
        return before > 0 and low < high and self.reach[before - 1] > low
