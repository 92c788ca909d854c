"""The element types a state can be declared to have, and rounding to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def storage_type(storage: str) -> np.dtype[Any]:
    """Return the NumPy type of `f16`, `bf16`, `f32` or `f64`."""
    if storage == "bf16":
        import ml_dtypes  # few rules ask for it

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype({"f16": np.float16, "f32": np.float32, "f64": np.float64}[storage])


def rounded(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return values in another element type, each rounded once, to the nearest and of two to the even one."""
    return _ready(values, dtype).astype(dtype, copy=False)


def store(values: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Write values to an array of another element type, rounded as `rounded` does."""
    np.copyto(out, _ready(values, out.dtype), casting="unsafe")


def _ready(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return values that NumPy rounds once to a type. It takes float64 to bfloat16 by way of float32, and so twice."""
    if values.dtype != np.float64 or dtype.itemsize != 2 or dtype == np.float16:
        return values
    # Rounded to odd in between, which keeps on which side of every bfloat16 a number lies.
    single = values.astype(np.float32)
    inexact = (single != values) & (values == values)
    bits = single.view(np.int32)
    bits -= np.abs(single).astype(np.float64) > np.abs(values)
    bits |= inexact
    return single
