"""The element types a state can be declared to have."""

from __future__ import annotations

from typing import Any

import numpy as np


def storage_type(storage: str) -> np.dtype[Any]:
    """Return the NumPy type of `f16`, `bf16`, `f32` or `f64`."""
    if storage == "bf16":
        import ml_dtypes  # few rules ask for it

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype({"f16": np.float16, "f32": np.float32, "f64": np.float64}[storage])
