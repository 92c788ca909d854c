"""Arrays in every layout, and all the bytes that a step may change."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from optdsl.runtime.optimizer import Optimizer

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Placed = tuple[Bytes, Array]
"""All bytes of a buffer, and an array in it."""


class Tagged(np.ndarray[Any, Any]):
    """A subclass without anything of its own."""


def buffer(count: int) -> Bytes:
    """Return bytes that no step leaves as they are by chance."""
    return np.resize(np.arange(7, 258, dtype=np.uint16).astype(np.uint8), count)


def strided(shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, start: int = 0) -> Placed:
    """Return an array with these strides in bytes, `start` bytes after the least place that it fits into."""
    item = np.dtype(dtype).itemsize
    below = sum(-s * (n - 1) for s, n in zip(strides, shape, strict=True) if s < 0 and n > 0)
    above = sum(s * (n - 1) for s, n in zip(strides, shape, strict=True) if s > 0 and n > 0)
    base = buffer(start + below + above + item + 8)
    first = base[start + below : start + below + item].view(dtype)
    return base, as_strided(first, shape, strides)


def packed(shape: tuple[int, ...], item: int) -> tuple[int, ...]:
    """Return the strides of a contiguous array."""
    return tuple(item * int(np.prod(shape[axis + 1 :], dtype=int)) for axis in range(len(shape)))


def _contiguous(shape: tuple[int, ...], dtype: Any, start: int = 0) -> Placed:
    return strided(shape, packed(shape, np.dtype(dtype).itemsize), dtype, start)


def _fortran(shape: tuple[int, ...], dtype: Any) -> Placed:
    return strided(shape, packed(shape[::-1], np.dtype(dtype).itemsize)[::-1], dtype)


def _scaled(by: tuple[int, ...]) -> Callable[[tuple[int, ...], Any], Placed]:
    def of(shape: tuple[int, ...], dtype: Any) -> Placed:
        wide = packed(tuple(2 * n for n in shape), np.dtype(dtype).itemsize)
        return strided(shape, tuple(s * by[i % len(by)] for i, s in enumerate(wide)), dtype)

    return of


def _singles(shape: tuple[int, ...], dtype: Any) -> Placed:
    # The stride of an axis of one element means nothing, whatever it is.
    item = np.dtype(dtype).itemsize
    base, array = _contiguous(shape, dtype)
    strides = tuple(999 * item + 1 if n == 1 else s for n, s in zip(shape, array.strides, strict=True))
    return base, as_strided(array, shape, strides)


def _field(shape: tuple[int, ...], dtype: Any) -> Placed:
    record = np.dtype([("tag", "u1"), ("value", dtype), ("rest", "u2")])
    base = buffer(record.itemsize * int(np.prod(shape, dtype=int)))
    return base, base.view(record).reshape(shape)["value"]


def _mapped(shape: tuple[int, ...], dtype: Any) -> Placed:
    size = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    base = np.frombuffer(mmap.mmap(-1, size + 64), np.uint8)
    return base, base[64:].view(dtype).reshape(shape)


def _tagged(shape: tuple[int, ...], dtype: Any) -> Placed:
    base, array = _scaled((1,))(shape, dtype)
    return base, array.view(Tagged)


def _turned(shape: tuple[int, ...], dtype: Any) -> Placed:
    base, array = _contiguous(shape[::-1], dtype)
    return base, array.T


LAYOUTS: dict[str, Callable[[tuple[int, ...], Any], Placed]] = {
    "contiguous": _contiguous,
    "fortran": _fortran,
    "every other": _scaled((1,)),
    "reversed": _scaled((-1,)),
    "half reversed": _scaled((1, -1)),
    "turned": _turned,
    "offset": lambda shape, dtype: _contiguous(shape, dtype, 3 * np.dtype(dtype).itemsize),
    "unaligned": lambda shape, dtype: _contiguous(shape, dtype, 1),
    "odd single axes": _singles,
    "field": _field,
    "mapped": _mapped,
    "subclass": _tagged,
}
"""What makes room for an array of a shape and a type, that can be written to."""


def placed(layout: str, values: Array) -> Placed:
    """Return values in a layout, and the buffer they lie in."""
    base, array = LAYOUTS[layout](values.shape, values.dtype)
    array[...] = values
    return base, array


def everything(optimizer: Optimizer, arrays: Iterable[Array] = ()) -> dict[str, Any]:
    """Return all that a step that is refused must leave alone, as bytes and numbers."""
    names = [slot.name for slot in optimizer._store.slots]
    states = {name: dict(optimizer.state[name].items()) for name in names if name in optimizer.state}
    return {
        "counts": [optimizer.step_count(name) for name in names],
        "states": {(name, key): _bytes(value) for name, own in states.items() for key, value in own.items()},
        "parameters": [_bytes(slot.leaf.data) for slot in optimizer._store.slots],
        "options": [dict(group, params=None) for group in optimizer.param_groups],
        "skipped": optimizer.skipped,
        "arrays": [_bytes(array) for array in arrays],
    }


def _bytes(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def after(optimizer: Optimizer, parameters: Mapping[str, Array]) -> dict[str, bytes]:
    """Return the bytes of parameters and states after a step."""
    taken = {name: value.tobytes() for name, value in parameters.items()}
    for name in parameters:
        taken |= {f"{name}.{key}": value.tobytes() for key, value in optimizer.state[name].items()}
    return taken
