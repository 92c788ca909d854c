"""What may be stepped in place, which arrays share memory, and gradients brought into the form kernels take."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.array_utils import byte_bounds

from optdsl.ir.storage import storage_type
from optdsl.runtime.half import SINGLE, is_half
from optdsl.runtime.kernel import Array
from optdsl.runtime.parameter import Parameter
from optdsl.runtime.ranges import Ranges
from optdsl.runtime.wording import kind

ACCEPTED = (np.dtype(np.float32), np.dtype(np.float64))
"""Element types of parameters besides those of 16 bits, in native byte order."""

EXACT_WORK = 1_000_000
"""Effort put into telling interleaved arrays from overlapping ones; past it they count as overlapping."""


def _dtype_complaint(dtype: np.dtype[Any]) -> str:
    """Return what is wrong with an element type, and what to do."""
    accepted = "float16, bfloat16, float32 and float64 are accepted"
    if not dtype.isnative and (dtype.kind == "f" or dtype.name == "bfloat16"):
        return f"{dtype!r} in foreign byte order; {accepted}: use .astype({dtype.newbyteorder('=').name!r})"
    if dtype.kind in "iub":
        return f"{dtype}, which can't hold small changes; {accepted}: use .astype(np.float32)"
    if dtype.kind == "c":
        return f"{dtype}; {accepted}: pass real and imaginary parts as parameters of their own"
    return f"{dtype}; {accepted}"


def _is_masked(array: Array) -> bool:
    # np.ma is loaded on first mention, which plain arrays needn't pay for.
    return type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray)


def check_parameter(name: str, value: object) -> Array:
    """Return the array of a parameter that can be stepped in place, as the caller gave it.

    Raises:
        TypeError: Not an array, or not of an accepted element type.
        ValueError: Read-only, or elements of it share memory.
    """
    array = value.data if isinstance(value, Parameter) else value
    if isinstance(array, (bool, int, float, complex, np.generic)):
        raise TypeError(
            f"parameter {name!r} is {kind(array)}, which can't be changed in place; pass an array, np.array({array!s})"
        )
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"parameter {name!r} is {kind(array)}; expected a NumPy array or an optdsl.Parameter, changed in place"
        )
    if _is_masked(array):
        raise TypeError(f"parameter {name!r} is a masked array; its mask would be ignored: pass its .data")
    if (array.dtype not in ACCEPTED and not is_half(array.dtype)) or not array.dtype.isnative:
        raise TypeError(f"parameter {name!r} is {_dtype_complaint(array.dtype)}")
    if not array.flags.writeable:
        raise ValueError(f"parameter {name!r} is read-only; pass a copy, or an array that owns its memory")
    if _meets_itself(array):
        raise ValueError(f"parameter {name!r} has elements that share memory (strides {array.strides}); pass a copy")
    return array


def _meets_itself(array: Array) -> bool:
    """Return whether two elements of an array lie in the same bytes."""
    if array.size < 2 or array.flags.c_contiguous:
        return False
    axes = sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
    low, high = byte_bounds(array)
    if high - low < array.nbytes or any(stride < array.itemsize for stride, _ in axes):
        return True
    reach = array.itemsize
    for stride, count in axes:
        if stride < reach:
            break
        reach += stride * (count - 1)
    else:
        return False
    # Strides that cross need every offset looked at; only hand-made views come here.
    offsets = np.zeros(1, np.int64)
    for stride, count in axes:
        offsets = np.add.outer(offsets, np.arange(count, dtype=np.int64) * stride).reshape(-1)
    offsets.sort()
    return bool((np.diff(offsets) < array.itemsize).any())


def _share(first: Array, second: Array) -> bool:
    try:
        return np.shares_memory(first, second, max_work=EXACT_WORK)  # type: ignore[arg-type]  # any effort is accepted
    except np.exceptions.TooHardError:
        return True


def check_distinct(arrays: Sequence[tuple[str, Array]]) -> None:
    """Raise ValueError naming two parameters that share memory."""
    spans = sorted((*byte_bounds(array), index) for index, (_, array) in enumerate(arrays) if array.size)
    near: list[tuple[int, int]] = []
    for low, high, index in spans:
        near = [(end, other) for end, other in near if end > low]
        for _, other in near:
            if _share(arrays[other][1], arrays[index][1]):
                first, second = sorted((other, index))
                raise _sharing(arrays[first], arrays[second])
        near.append((high, index))


def _sharing(first: tuple[str, Array], second: tuple[str, Array]) -> ValueError:
    (name, array), (other, another) = first, second
    same = array.ctypes.data == another.ctypes.data and (array.shape, array.strides) == (another.shape, another.strides)
    how = "are the same array" if same else "share memory"
    return ValueError(f"parameters {name!r} and {other!r} {how} and would be stepped twice; pass it once")


def flat_of(data: Array) -> tuple[Array, bool]:
    """Return a one-dimensional, contiguous, aligned array for a kernel, and whether it is a copy kept beside `data`."""
    if data.flags.c_contiguous and data.flags.aligned:
        return data.reshape(-1), False
    return np.empty(data.size, data.dtype), True


def as_gradient(name: str, value: Any, data: Array) -> Array:
    """Return a gradient as an array of its parameter's shape, without copying an array.

    Its element type is its parameter's, or float32 where that has 16 bits.

    Raises:
        ValueError: Of another shape, or a list or mapping where an array belongs.
        TypeError: Not an array, or of another element type.
    """
    if isinstance(value, Parameter):
        raise TypeError(f"gradient of {name!r} is an optdsl.Parameter; pass its .grad")
    if isinstance(value, (list, tuple, Mapping)):
        raise ValueError(f"gradient of {name!r} is {kind(value)}; expected one array of shape {data.shape}")
    if not isinstance(value, np.ndarray):
        value = _from_array_like(name, value, data)
    if _is_masked(value):
        raise TypeError(f"gradient of {name!r} is a masked array; its mask would be ignored: pass .filled(0)")
    if value.shape != data.shape:
        raise ValueError(f"gradient of {name!r} has shape {value.shape}; the parameter has shape {data.shape}")
    wide = data.dtype.itemsize == 2 and value.dtype == SINGLE
    if (value.dtype != data.dtype and not wide) or not value.dtype.isnative:
        home = "ml_dtypes" if data.dtype.name == "bfloat16" else "np"
        raise TypeError(
            f"gradient of {name!r} is {value.dtype}; the parameter is {data.dtype}: "
            f"use .astype({home}.{data.dtype.name})"
        )
    return np.asarray(value)


def _from_array_like(name: str, value: Any, data: Array) -> Array:
    expected = f"expected an array of shape {data.shape} and dtype {data.dtype}"
    if not hasattr(value, "__array__"):
        raise TypeError(f"gradient of {name!r} is {kind(value)}; {expected}")
    try:
        return _bfloat16_tensor(value) if _is_bfloat16_tensor(value) else np.asarray(value)
    except Exception as error:  # any type at all may refuse, with any exception
        raise TypeError(f"gradient of {name!r} is {kind(value)} that NumPy can't read ({error}); {expected}") from error


def _is_bfloat16_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and str(value.dtype) == "torch.bfloat16"


def _bfloat16_tensor(tensor: Any) -> Array:
    """Return a tensor of PyTorch's bfloat16, which NumPy reads as whole numbers only."""
    if tensor.requires_grad:
        raise TypeError("it requires a gradient itself: use tensor.detach()")
    whole = tensor.view(sys.modules["torch"].int16)  # loaded already, or there would be no tensor
    return np.asarray(whole).view(storage_type("bf16"))


def _same_form(array: npt.NDArray[Any], data: Array, flat: Array) -> bool:
    """Return whether an array that a kernel has read as it is can still be read so: its caller may have changed it."""
    return array.shape == data.shape and array.dtype == flat.dtype and array.flags.c_contiguous


class Intake:
    """One parameter's gradient in the form kernels take, the same array object while the caller's stays the same."""

    __slots__ = ("address", "anchor", "flat", "seen", "staging")

    def __init__(self) -> None:
        self.seen: npt.NDArray[Any] | None = None
        self.anchor: weakref.ref[npt.NDArray[Any]] | None = None
        self.flat: Array | None = None
        self.address = 0
        self.staging: Array | None = None

    def forget(self) -> None:
        """Let go of the caller's gradient."""
        self.seen = self.flat = self.anchor = None

    def take(self, name: str, value: Any, data: Array, ranges: Ranges) -> Array:
        """Return the gradient flat, contiguous, aligned, and apart from every parameter and state.

        A gradient that isn't goes through a staging array, which is made once. Raises as `as_gradient` does.
        """
        seen, flat = self.seen, self.flat
        if seen is not None and flat is not None and seen is value and _same_form(seen, data, flat):
            return flat
        gradient = as_gradient(name, value, data)
        address = gradient.ctypes.data
        direct = gradient.flags.c_contiguous and gradient.flags.aligned
        if not direct or ranges.meet(address, address + gradient.nbytes):
            return self._stage(gradient)
        # A new view of the memory used last time is that view: kernels tell gradients apart by identity.
        if self.flat is None or self.address != address or self.flat.dtype != gradient.dtype:
            self.flat, self.address = gradient.reshape(-1), address
        # Only arrays stay where they are; what an array-like exposes is asked for again.
        self.seen = value if isinstance(value, np.ndarray) else None
        self.anchor = None if self.seen is None else weakref.ref(self.seen)
        return self.flat

    def _stage(self, gradient: Array) -> Array:
        self.forget()
        if self.staging is None or self.staging.dtype != gradient.dtype:
            self.staging = np.empty(gradient.size, gradient.dtype)
        np.copyto(self.staging.reshape(gradient.shape), gradient)
        return self.staging
