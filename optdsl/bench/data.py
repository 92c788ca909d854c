"""What contestants step: parameters and gradients of ordinary size, the same for each, in arrays of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

PATTERN = 1_000_003
"""Numbers after which they repeat; no multiple of a vector, a block or a row."""
CHUNK = 1 << 20
"""Elements that are compared at a time, which bounds the memory it takes."""


class Contestant(Protocol):
    """Something that steps parameters and can be timed."""

    def step(self) -> object:
        """Make one step, to its end."""

    def renew(self) -> None:
        """Take other gradient arrays, as after another backward pass. Not timed."""

    def parameters(self) -> Sequence[Array]:
        """Return the parameters as they are; none where there are none to compare."""


@cache
def _pattern(kind: str) -> Array:
    """Return numbers to repeat: parameters around 0, or gradients that keep clear of it so that no square is tiny."""
    numbers = np.random.default_rng(0 if kind == "parameters" else 1).standard_normal(PATTERN, dtype=np.float32)
    return numbers if kind == "parameters" else numbers + np.copysign(np.float32(0.01), numbers)


@dataclass(frozen=True, slots=True)
class Data:
    """Makes the arrays of a measurement. `fresh` asks for other gradient arrays at every step."""

    shapes: tuple[tuple[int, ...], ...]
    fresh: bool

    def parameters(self) -> list[Array]:
        """Return new parameters."""
        return self._arrays("parameters")

    def gradients(self) -> Gradients:
        """Return new gradients."""
        return Gradients(lambda: self._arrays("gradients"), self.fresh)

    def _arrays(self, kind: str) -> list[Array]:
        arrays = []
        at = 0
        for shape in self.shapes:
            array = np.empty(math.prod(shape), np.float32)
            for lo, part in pieces(array, PATTERN):
                begin = (at + lo) % PATTERN
                first = min(part.size, PATTERN - begin)
                part[:first] = _pattern(kind)[begin : begin + first]
                part[first:] = _pattern(kind)[: part.size - first]
            at += array.size
            arrays.append(array.reshape(shape))
        return arrays


class Gradients:
    """Gradients in `now`, which `renew` replaces by other arrays at another place with the same numbers."""

    def __init__(self, make: Callable[[], list[Array]], fresh: bool) -> None:
        self._sets = [make() for _ in range(2 if fresh else 1)]
        self.now = self._sets[0]

    def renew(self) -> None:
        """Replace them; in the same two places in turn, as an allocator would."""
        self._sets.reverse()
        self.now = [array.view() for array in self._sets[0]]


def pieces(array: Array, length: int) -> Iterator[tuple[int, Array]]:
    """Yield a flat array piece by piece, each with where it begins."""
    flat = array.reshape(-1)
    for lo in range(0, flat.size, length):
        yield lo, flat[lo : lo + length]


def distance(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """Return the largest difference between two lists of arrays; NaN where there is one."""
    most = 0.0
    for one, other in zip(found, expected, strict=True):
        flat = one.reshape(-1)
        for lo, part in pieces(other, CHUNK):
            most = float(np.fmax(most, np.max(np.abs(flat[lo : lo + part.size] - part), initial=0)))
            if not np.isfinite(flat[lo : lo + part.size]).all():
                return math.nan
    return most


def largest(arrays: Sequence[Array]) -> float:
    """Return the largest size of an element."""
    return max((float(np.max(np.abs(part))) for array in arrays for _, part in pieces(array, CHUNK)), default=0.0)


def ordinary(arrays: Sequence[Array]) -> bool:
    """Return whether all elements are finite and none is subnormal, on which arithmetic is slower."""
    least = np.finfo(np.float32).tiny
    for array in arrays:
        for _, part in pieces(array, CHUNK):
            size = np.abs(part)
            if not np.isfinite(size).all() or bool(((size < least) & (size > 0)).any()):
                return False
    return True
