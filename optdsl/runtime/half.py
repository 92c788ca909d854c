"""Parameters of 16 bits, float16 and bfloat16: stored so, and stepped in float32."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir.storage import store

Array = npt.NDArray[Any]
Tally = Callable[[int, Array, Array], None]
"""Told for the elements from a place on which of them a step moves, and which of those stay as they are stored."""

MASTER = "master"
"""The name under which the states of a parameter hold its float32 master copy."""

SINGLE: np.dtype[Any] = np.dtype(np.float32)


def is_half(dtype: np.dtype[Any]) -> bool:
    """Return whether an element type is float16 or bfloat16 in native byte order."""
    return dtype.itemsize == 2 and (dtype == np.float16 or dtype.name == "bfloat16")


def working(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the element type of the arithmetic for a parameter: float32 for 16 bits, else the parameter's."""
    return SINGLE if dtype.itemsize == 2 else dtype


def current(stored: Array, master: Array | None = None) -> Array:
    """Return a parameter as arithmetic has it: itself, or of 16 bits a float32 copy, the master's where that fits."""
    if stored.dtype.itemsize != 2:
        return stored
    wide = stored.astype(SINGLE)
    return wide if master is None else np.where(_fits(stored, master), master, wide)


def _bits(values: Array) -> npt.NDArray[np.uint16]:
    """Return the bits of numbers of 16 bits."""
    return values.view(np.uint16)


def _fits(stored: Array, master: Array) -> npt.NDArray[np.bool_]:
    """Return where a parameter is the rounding of its master copy."""
    return np.equal(_bits(master.astype(stored.dtype)), _bits(stored))


def losses(stored: Array, after: Array) -> tuple[Array, Array]:
    """Return which elements a step moves from how they are stored, and for which of those the rounding undoes it.

    Args:
        stored: The elements before the step, of 16 bits.
        after: The elements after it, in float32.
    """
    before = stored.astype(SINGLE)
    moved = (after < before) | (after > before)  # a NaN goes nowhere
    return moved, moved & (_bits(after.astype(stored.dtype)) == _bits(stored))


_COUNTING = threading.Lock()
"""Held while threads of a step add to one number."""


def counter(lost: npt.NDArray[np.int64]) -> Tally:
    """Return what counts the elements of one parameter: those that move, and those of them that stay as they are."""

    def count(_: int, moved: Array, back: Array) -> None:
        with _COUNTING:
            lost[:] += np.count_nonzero(moved), np.count_nonzero(back)

    return count


def looked_at(step: int) -> bool:
    """Return whether lost updates are looked for in the step of a number: in the powers of two."""
    return step & (step - 1) == 0


class Half:
    """A parameter of 16 bits, or its gradient, as a step function takes it: blocks of it are float32 arrays.

    Where there is a master copy, the blocks are those of the master. An element that isn't the master's rounding has
    been changed by the caller since, and the master follows it.
    """

    __slots__ = ("master", "room", "size", "stored", "tally", "written")

    itemsize = 4
    """Of an element in a block."""

    def __init__(
        self, stored: Array, room: Array, master: Array | None = None, tally: Tally | None = None, written: bool = True
    ) -> None:
        """Make it of flat arrays of one size; blocks are no longer than `room`, a float32 array that they lie in."""
        self.stored, self.room, self.master, self.tally, self.written = stored, room, master, tally, written
        self.size = stored.size

    def __getitem__(self, these: slice) -> Array:
        """Return some elements widened; what becomes of them is for `keep`."""
        stored = self.stored[these]
        if self.master is None:
            block = self.room[: stored.size]
            np.copyto(block, stored)
            return block
        block = self.master[these]
        foreign, differs = self._room(stored)
        store(block, foreign)
        np.not_equal(_bits(foreign), _bits(stored), out=differs)
        if differs.any():
            np.copyto(block, stored, where=differs)
        return block

    def _room(self, stored: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return scratch arrays for a rounding of the master and for truth values, which lie in the room."""
        size = stored.size
        raw = self.room.view(np.uint8)
        return raw[: 2 * size].view(stored.dtype), raw[2 * size : 3 * size].view(np.bool_)

    def keep(self, these: slice) -> None:
        """Round what has become of some elements, of a parameter, to where they are stored."""
        if not self.written:
            return
        stored = self.stored[these]
        block = self.room[: stored.size] if self.master is None else self.master[these]
        if self.tally is not None:
            self.tally(these.start, *losses(stored, block))
        store(block, stored)


ROOMS = 2
"""How many float32 work arrays a parameter of 16 bits and its gradient need."""


def halves(
    x: Array, g: Array, rooms: Sequence[Array], master: Array | None, tally: Tally | None
) -> tuple[Half, Half | Array]:
    """Return a parameter of 16 bits and its gradient, of 16 bits too or of float32, as a step function takes them."""
    gradient = Half(g, rooms[1], written=False) if g.itemsize == 2 else g
    return Half(x, rooms[0], master, tally), gradient
