"""`Parameter`: an array that carries its gradient, for code written in the way of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Parameter:
    """An array and its gradient.

    Args:
        data: An array, kept and not copied, so that stepping the parameter changes it; or anything `np.asarray` takes.

    Attributes:
        data: The array. Assigning to it copies into the array that is there, so that everything holding it sees the
            new values; a value of another shape is a ValueError.
        grad: The gradient, of the same shape and dtype, or None where there is none.
    """

    __slots__ = ("__weakref__", "_data", "grad")

    _data: npt.NDArray[Any]
    grad: Any

    def __init__(self, data: npt.ArrayLike) -> None:
        self._data = data if isinstance(data, np.ndarray) else np.asarray(data)
        self.grad = None

    @property
    def data(self) -> npt.NDArray[Any]:
        """The array itself."""
        return self._data

    @data.setter
    def data(self, value: npt.ArrayLike) -> None:
        new = np.asarray(value)
        if new.shape != self._data.shape:
            raise ValueError(f"data has shape {self._data.shape}; a value of shape {new.shape} can't be put there")
        self._data[...] = new

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type of the array."""
        return self._data.dtype

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def __array__(self, dtype: npt.DTypeLike | None = None, *, copy: bool | None = None) -> npt.NDArray[Any]:
        # The array itself unless a copy or another type is asked for, so that NumPy's functions take parameters.
        if copy is False and dtype is not None and np.dtype(dtype) != self._data.dtype:
            raise ValueError(f"data is {self._data.dtype}: seeing it as {np.dtype(dtype)} needs a copy")
        if copy:
            return np.array(self._data, dtype)
        return self._data if dtype is None else self._data.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"Parameter({self._data!r})"
