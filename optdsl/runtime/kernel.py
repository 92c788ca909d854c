"""Running a compiled rule over many parameters: one call per step, on NumPy or on a built C library."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from optdsl.runtime.blocks import BLOCK_BYTES, blocks, total
from optdsl.runtime.rows import Rows

Array = npt.NDArray[np.floating]


@dataclass(slots=True, eq=False)
class Leaf:
    """One parameter as a kernel sees it.

    `flat` is one-dimensional, contiguous, aligned and writable: a view of the caller's array, or a private copy where
    the caller's strides forbid one. `states` are arrays of the caller's shape, C-contiguous, by name, only those that
    exist. `scalars` holds the rule's scalar states as float64, in the rule's order. `steps` counts the steps done.
    """

    name: str
    data: Array
    flat: Array
    states: dict[str, Array]
    scalars: npt.NDArray[np.float64]
    steps: int = 0
    variant: int = 0


class Plan(Protocol):
    """A kernel bound to a fixed list of leaves, with everything cached that doesn't change between steps.

    The leaves keep their arrays and their variant as long as the plan is used.
    """

    def run(self, active: Sequence[int], gradients: Sequence[Array], hypers: Sequence[npt.NDArray[np.float64]]) -> None:
        """Step the leaves numbered in `active`, in place.

        `gradients[k]` (one-dimensional, contiguous, aligned, of the parameter's element type, sharing no memory with
        parameters or states) and `hypers[k]` (float64: the hyperparameters in the rule's order, then the clip value,
        then the factor of the gradient) belong to leaf `active[k]`, whose step number is its `steps` + 1. Raises
        MemoryError before anything has changed. Does not count the step.
        """


class Kernel(Protocol):
    """A compiled rule."""

    @property
    def target(self) -> str:
        """The name of the target it was compiled for."""

    def variant(self, hypers: Mapping[str, float]) -> int:
        """Return which form of the rule these hyperparameters ask for (which optional states exist)."""

    def plan(self, leaves: Sequence[Leaf]) -> Plan:
        """Bind the kernel to leaves whose arrays stay where they are."""

    def squares(self, gradients: Sequence[Array], clip_value: float) -> float:
        """Return the float64 sum of squares over gradients, each element first clipped to +-clip_value."""

    def finite(self, gradients: Sequence[Array]) -> list[bool]:
        """Return for each gradient whether all its elements are finite."""


StepFunction = Callable[..., None]


WORTH = 1 << 20
"""Elements for which a Python thread is worth starting."""


Work = tuple[list[npt.NDArray[np.generic]], list[npt.NDArray[np.generic]]]
"""The scratch arrays of one thread: of the parameter's element type, and of truth values."""


class Scratch:
    """Block-sized work arrays that steps borrow, so that none is made anew in a steady state."""

    def __init__(self) -> None:
        self.free: dict[np.dtype[np.generic], list[npt.NDArray[np.generic]]] = {}

    @contextmanager
    def lent(
        self, dtypes: Iterable[np.dtype[np.generic]], numbers: int, masks: int, workers: int = 1
    ) -> Iterator[dict[np.dtype[np.generic], list[Work]]]:
        """Lend arrays for each element type and each of some threads. MemoryError before any is used."""
        taken: list[npt.NDArray[np.generic]] = []

        def take(dtype: np.dtype[np.generic], count: int) -> list[npt.NDArray[np.generic]]:
            free = self.free.setdefault(dtype, [])
            # A block is as long as its type asks for; truth values go along with the longest.
            length = BLOCK_BYTES // max(dtype.itemsize, 4)
            arrays = []
            for _ in range(count):
                try:
                    arrays.append(free.pop())
                except IndexError:  # asked for, not looked before: another thread may borrow at the same time
                    arrays.append(np.empty(length, dtype))
                taken.append(arrays[-1])
            return arrays

        try:
            truth = np.dtype(np.bool_)
            yield {dtype: [(take(dtype, numbers), take(truth, masks)) for _ in range(workers)] for dtype in dtypes}
        finally:
            for array in taken:
                self.free[array.dtype].append(array)


_scratch = Scratch()


@dataclass(frozen=True, slots=True)
class NumpyKernel:
    """A rule as Python functions over NumPy arrays, one for each combination of optional states.

    A step function is called as `step(x, g, states, scalars, hypers, t, numbers, masks)`: flat arrays, a tuple of the
    flat tensor states in the rule's order (None where absent), the float64 vector of scalar states, a list of floats,
    the step number as a float, and block-sized scratch arrays of the parameter's type and of bool. `separable` says
    that a part of a tensor can be stepped without the rest: no reduction, no scalar state, no element count. Where
    `shaped`, the function takes the `Rows` of the parameter as well, with `row_values` numbers for each row.
    """

    select: Callable[[Mapping[str, float]], int]
    steps: Mapping[int, StepFunction]
    tensor_states: tuple[str, ...]
    numbers: int
    masks: int
    separable: bool = False
    shaped: bool = False
    row_values: int = 0
    target: str = field(default="numpy", init=False)

    def variant(self, hypers: Mapping[str, float]) -> int:
        return self.select(hypers)

    def plan(self, leaves: Sequence[Leaf]) -> NumpyPlan:
        return NumpyPlan(self, leaves)

    def squares(self, gradients: Sequence[Array], clip_value: float) -> float:
        sum_ = 0.0
        wide_type = np.dtype(np.float64)
        with _scratch.lent([wide_type], 1, 0) as lent:
            wide = lent[wide_type][0][0][0]
            for gradient in gradients:
                for start in range(0, gradient.size, wide.size):
                    block = gradient[start : start + wide.size]
                    part = wide[: block.size]
                    np.clip(block, -clip_value, clip_value, out=part)
                    np.multiply(part, part, out=part)
                    sum_ += total(part)
        return sum_

    def finite(self, gradients: Sequence[Array]) -> list[bool]:
        any_type = np.dtype(np.float32)
        with _scratch.lent([any_type], 0, 1) as lent:
            masks = lent[any_type][0][1]
            return [
                all(bool(np.isfinite(block, out=mask).all()) for block, mask in blocks((gradient,), masks))
                for gradient in gradients
            ]


class NumpyPlan:
    """The leaves of an optimizer, their states flattened once."""

    def __init__(self, kernel: NumpyKernel, leaves: Sequence[Leaf]) -> None:
        self.kernel = kernel
        self.leaves = leaves
        self.states = [
            tuple(leaf.states[name].reshape(-1) if name in leaf.states else None for name in kernel.tensor_states)
            for leaf in leaves
        ]
        self.rows = [(Rows.of(leaf.data.shape, kernel.row_values),) if kernel.shaped else () for leaf in leaves]

    def run(self, active: Sequence[int], gradients: Sequence[Array], hypers: Sequence[npt.NDArray[np.float64]]) -> None:
        kernel = self.kernel
        lists = {id(vector): vector.tolist() for vector in hypers}
        parts = [min(threads(), gradient.size // WORTH) if kernel.separable else 1 for gradient in gradients]
        dtypes = {self.leaves[index].flat.dtype for index in active}
        workers = max([1, *parts])
        with _scratch.lent(dtypes, kernel.numbers, kernel.masks, workers) as lent, np.errstate(all="ignore"):
            for index, gradient, vector, count in zip(active, gradients, hypers, parts, strict=True):
                work = lent[self.leaves[index].flat.dtype]
                if count > 1:
                    self._split(index, gradient, lists[id(vector)], work[:count])
                else:
                    self._part(index, gradient, lists[id(vector)], slice(None), work[0])

    def _part(self, index: int, gradient: Array, hypers: list[float], part: slice, work: Work) -> None:
        """Step a part of a leaf."""
        leaf = self.leaves[index]
        states = tuple(None if state is None else state[part] for state in self.states[index])
        step = self.kernel.steps[leaf.variant]
        shape = self.rows[index]
        step(leaf.flat[part], gradient[part], states, leaf.scalars, hypers, float(leaf.steps + 1), *work, *shape)

    def _split(self, index: int, gradient: Array, hypers: list[float], work: list[Work]) -> None:
        """Step a large leaf in equal parts, each but the first in a thread of its own that ends with the step.

        No part is begun before every thread runs, so that a lack of threads changes nothing.
        """
        size = -(-gradient.size // len(work))
        slices = [slice(start, start + size) for start in range(0, gradient.size, size)]
        ready = threading.Barrier(len(slices))
        failures: list[BaseException] = []

        def step(part: slice, own: Work) -> None:
            try:
                ready.wait()
                with np.errstate(all="ignore"):
                    self._part(index, gradient, hypers, part, own)
            except threading.BrokenBarrierError:
                return  # another part couldn't begin, and says why
            except BaseException as error:
                failures.append(error)

        workers = [threading.Thread(target=step, args=pair) for pair in zip(slices[1:], work[1:], strict=False)]
        started = []
        try:
            for worker in workers:
                worker.start()
                started.append(worker)
        except RuntimeError as error:
            ready.abort()
            failures.append(MemoryError(f"no thread could be started for a step; nothing was changed: {error}"))
        else:
            step(slices[0], work[0])
        for worker in started:
            worker.join()
        if failures:
            raise failures[0]


def threads() -> int:
    """Return how many threads a step may use: `OPTDSL_NUM_THREADS`, else the processors this process may run on."""
    asked = os.environ.get("OPTDSL_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
