"""Small parameters gathered side by side, so that one call of a step function serves many of them.

A call of an array operation costs about half a microsecond however few elements there are. So parameters that are
stepped with the same numbers are copied into a common array, their gradients and states into others, and after the
step the parameters and states are copied back. Users hold the states, which therefore stay where they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, repeat
from operator import itemgetter, setitem

import numpy as np
import numpy.typing as npt

from optdsl.runtime.blocks import AnyArray
from optdsl.runtime.half import SINGLE, Tally, working
from optdsl.runtime.kernel import Array, Leaf
from optdsl.runtime.scratch import LINE, aligned

ARENA_BYTES = 1 << 19
"""Size of an arena: parameters, gradients and states of a batch together."""

SMALL_BYTES = 1 << 13
"""Size of the largest parameter worth copying: at twice that, copies cost more than calls where the cache is busy."""

_assign: Callable[..., None] = setitem

Tensors = tuple[AnyArray | None, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What leaves of a batch have in common as long as a plan lasts: element types, master copies and the variant."""

    dtype: np.dtype[np.generic]
    mastered: bool
    states: tuple[np.dtype[np.generic] | None, ...]
    variant: int

    @classmethod
    def of(cls, leaf: Leaf, states: Tensors) -> Signature:
        """Return the signature of a leaf with these states, None where one doesn't exist."""
        types = tuple(None if state is None else state.dtype for state in states)
        return cls(leaf.flat.dtype, leaf.mastered, types, leaf.variant)

    @property
    def dtypes(self) -> list[np.dtype[np.generic]]:
        """The element types of an arena's arrays: parameter, gradient, master copy, and the states there are."""
        there = [dtype for dtype in self.states if dtype is not None]
        return [self.dtype, working(self.dtype), *[SINGLE] * self.mastered, *there]

    @property
    def capacity(self) -> int:
        """How many elements an arena holds: a multiple of a cache line's."""
        return ARENA_BYTES // sum(dtype.itemsize for dtype in self.dtypes) // LINE * LINE


class Arena:
    """The common arrays of one plan: those of different signatures lie over one another."""

    def __init__(self) -> None:
        self.buffer = aligned(np.empty(ARENA_BYTES + LINE, np.uint8))
        self.arrays: dict[Signature, list[AnyArray]] = {}
        self.views: dict[tuple[Signature, tuple[int, ...]], list[list[AnyArray]]] = {}

    def of(self, signature: Signature) -> list[AnyArray]:
        """Return the arrays of parameters, gradients, master copies and existing states."""
        if signature not in self.arrays:
            capacity, start, arrays = signature.capacity, 0, []
            for dtype in signature.dtypes:
                stop = start + capacity * dtype.itemsize
                arrays.append(self.buffer[start:stop].view(dtype))
                start = stop
            self.arrays[signature] = arrays
        return self.arrays[signature]

    def parts(self, signature: Signature, sizes: tuple[int, ...]) -> list[list[AnyArray]]:
        """Return views of what is copied back, for parameters of these sizes: of each array but the gradients'.

        Batches of the same sizes share them.
        """
        key = signature, sizes
        if key not in self.views:
            bounds = list(accumulate(sizes, initial=0))
            x, _, *states = self.of(signature)
            self.views[key] = [[array[start:stop] for start, stop in pairwise(bounds)] for array in (x, *states)]
        return self.views[key]


class Gathered:
    """Leaves that are stepped in an arena. `places` are their places among the gradients of a step."""

    def __init__(
        self, arena: Arena, signature: Signature, places: Sequence[int], leaves: Sequence[Leaf],
        states: Sequence[Tensors],
    ) -> None:  # fmt: skip
        self.first = places[0]
        self.leaves = leaves
        self.chosen: Callable[[Sequence[Array]], Sequence[Array]] = itemgetter(*places)
        sizes = tuple(leaf.flat.size for leaf in leaves)
        self.size = sum(sizes)
        self.x, self.g, *own = [array[: self.size] for array in arena.of(signature)]
        self.own = own
        fresh = iter(own)
        self.master = next(fresh) if signature.mastered else None
        self.states: Tensors = tuple(None if dtype is None else next(fresh) for dtype in signature.states)
        there = [index for index, dtype in enumerate(signature.states) if dtype is not None]
        held = ([state for each in states if (state := each[index]) is not None] for index in there)
        masters: list[AnyArray] = [master.reshape(-1) for leaf in leaves if (master := leaf.master) is not None]
        self.arrays: list[list[AnyArray]] = [
            [leaf.flat for leaf in leaves], *([masters] if signature.mastered else []), *held,
        ]  # fmt: skip
        self.parts = arena.parts(signature, sizes)

    def tally(self) -> Tally | None:
        """Return what counts the updates that its leaves lose, where that is asked for."""
        cells = [leaf.lost for leaf in self.leaves]
        if any(cell is None for cell in cells):
            return None
        owners = np.repeat(np.arange(len(cells)), [leaf.flat.size for leaf in self.leaves])

        def count(start: int, moved: AnyArray, lost: AnyArray) -> None:
            whose = owners[start : start + moved.size]
            for place, found in enumerate((moved, lost)):
                for cell, number in zip(cells, np.bincount(whose[found], minlength=len(cells)), strict=True):
                    if cell is not None:
                        cell[place] += number

        return count

    def gather(self, gradients: Sequence[Array]) -> None:
        """Copy parameters, gradients and states into the arena."""
        np.concatenate(self.chosen(gradients), out=self.g)
        for arrays, array in zip(self.arrays, (self.x, *self.own), strict=True):
            np.concatenate(arrays, out=array)

    def scatter(self, scalars: npt.NDArray[np.float64]) -> None:
        """Copy parameters and states back, and give each leaf the scalar states."""
        for arrays, parts in zip(self.arrays, self.parts, strict=True):
            # The fastest of what NumPy and Python offer for many small copies, but for memoryviews of the arrays.
            deque(map(_assign, arrays, repeat(...), parts), maxlen=0)
        if scalars.size:
            for leaf in self.leaves:
                leaf.scalars[...] = scalars
