"""Running a compiled rule as a built C library."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optdsl.runtime.kernel import Array, Leaf, threads
from optdsl.runtime.rows import Rows


@dataclass(frozen=True, slots=True)
class CKernel:
    """A rule as a built C library."""

    select: Callable[[Mapping[str, float]], int]
    library: ctypes.CDLL
    tensor_states: tuple[str, ...]
    row_values: int = 0
    target: str = field(default="c", init=False)

    @classmethod
    def open(
        cls, path: Path, select: Callable[[Mapping[str, float]], int], tensor_states: tuple[str, ...],
        row_values: int = 0,
    ) -> CKernel:  # fmt: skip
        """Load the library a generated module stands beside."""
        library = ctypes.CDLL(str(path))
        table = (ctypes.c_int64, ctypes.c_void_p)
        library.optdsl_step.argtypes, library.optdsl_step.restype = (*table, *table, ctypes.c_int64), ctypes.c_int
        for suffix in ("f32", "f64"):
            squares = getattr(library, f"optdsl_squares_{suffix}")
            squares.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_int64)
            squares.restype = ctypes.c_double
            finite = getattr(library, f"optdsl_finite_{suffix}")
            finite.argtypes, finite.restype = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64), ctypes.c_int
        return cls(select, library, tensor_states, row_values)

    def variant(self, hypers: Mapping[str, float]) -> int:
        return self.select(hypers)

    def plan(self, leaves: Sequence[Leaf]) -> CPlan:
        return CPlan(self, leaves)

    def squares(self, gradients: Sequence[Array], clip_value: float) -> float:
        count = threads()
        return sum(
            float(getattr(self.library, f"optdsl_squares_{_suffix(g.dtype)}")(g.ctypes.data, g.size, clip_value, count))
            for g in gradients
        )

    def finite(self, gradients: Sequence[Array]) -> list[bool]:
        count = threads()
        return [
            bool(getattr(self.library, f"optdsl_finite_{_suffix(g.dtype)}")(g.ctypes.data, g.size, count))
            for g in gradients
        ]


def _suffix(dtype: np.dtype[np.floating]) -> str:
    return {4: "f32", 8: "f64"}[dtype.itemsize]


FIXED_COLUMNS = 10
"""Columns of a row before the addresses of the tensor states."""


class CPlan:
    """The tables of addresses that one call of a C kernel works through, a row per parameter, for each element type.

    The columns are the element count, the step number, the variant, then the addresses of the hyperparameters, scalar
    states, parameter and gradient, the number of axes, the width of a row, the address of the values of the rows, and
    those of the tensor states, as in `optdsl/targets/skeleton.c`.
    """

    def __init__(self, kernel: CKernel, leaves: Sequence[Leaf]) -> None:
        self.kernel = kernel
        self.leaves = leaves
        width = len(kernel.tensor_states) + FIXED_COLUMNS
        self.rows = [Rows.of(leaf.data.shape, kernel.row_values) for leaf in leaves]
        self.tables: list[tuple[list[int], npt.NDArray[np.int64]]] = []
        for suffix in ("f32", "f64"):
            members = [index for index, leaf in enumerate(leaves) if _suffix(leaf.flat.dtype) == suffix]
            rows = np.array([self._row(leaves[index], self.rows[index]) for index in members], np.int64).reshape(
                -1, width
            )
            self.tables.append((members, rows))
        # Weak, so that a plan keeps no gradient alive that its owner has let go of.
        self.gradients: list[weakref.ref[Array] | None] = [None] * len(leaves)
        self.hypers: list[npt.NDArray[np.float64] | None] = [None] * len(leaves)

    def _row(self, leaf: Leaf, rows: Rows) -> list[int]:
        states = [leaf.states[name].ctypes.data if name in leaf.states else 0 for name in self.kernel.tensor_states]
        fixed = [leaf.flat.size, 0, leaf.variant, 0, leaf.scalars.ctypes.data, leaf.flat.ctypes.data, 0]
        return [*fixed, leaf.data.ndim, rows.width, rows.values.ctypes.data, *states]

    def run(self, active: Sequence[int], gradients: Sequence[Array], hypers: Sequence[npt.NDArray[np.float64]]) -> None:
        given = dict(zip(active, zip(gradients, hypers, strict=True), strict=True))
        singles, doubles = (self._chosen(members, rows, given) for members, rows in self.tables)
        step = self.kernel.library.optdsl_step
        if step(len(singles), singles.ctypes.data, len(doubles), doubles.ctypes.data, threads()) != 0:
            raise MemoryError("no memory for the scratch space of a step; nothing was changed")

    def _chosen(
        self,
        members: list[int],
        rows: npt.NDArray[np.int64],
        given: Mapping[int, tuple[Array, npt.NDArray[np.float64]]],
    ) -> npt.NDArray[np.int64]:
        """Bring the rows of a table up to date and return those of the leaves that are stepped."""
        chosen = []
        for row, index in enumerate(members):
            if index not in given:
                continue
            chosen.append(row)
            gradient, vector = given[index]
            rows[row, 1] = self.leaves[index].steps + 1
            seen = self.gradients[index]
            if seen is None or seen() is not gradient:
                self.gradients[index] = weakref.ref(gradient)
                rows[row, 6] = gradient.ctypes.data
            if vector is not self.hypers[index]:
                self.hypers[index] = vector
                rows[row, 3] = vector.ctypes.data
        return rows if len(chosen) == len(members) else rows[chosen]
