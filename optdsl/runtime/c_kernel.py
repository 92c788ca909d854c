"""Running a compiled rule as a built C library."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime.kernel import Array, Leaf, Vector, threads
from optdsl.runtime.ranges import Ranges
from optdsl.runtime.rows import Rows, row_width

if TYPE_CHECKING:
    from optdsl.runtime import gather

Table = npt.NDArray[np.int64]

COUNT, STEPS, VARIANT, HYPERS, SCALARS, PARAMETER, GRADIENT, NDIM, LINE, LINE_VALUES = range(10)
STORED, GIVEN, MASTER, LOST, STATES = range(10, 15)
"""Columns of a row of a table, as in `optdsl/targets/skeleton.c`; from the last on lie the tensor states."""

BLOCK = 65536
"""Elements of a block, as there."""


PLAIN, F16, BF16 = range(3)
"""Forms of elements, as there."""

SIZES = 4, 8
"""Sizes of the numbers that arithmetic is done with, those of each table."""


def _form(array: Array) -> int:
    """Return in which form the elements of an array are, as `optdsl/targets/skeleton.c` numbers them."""
    return PLAIN if array.itemsize > 2 else F16 if array.dtype == np.float16 else BF16


@dataclass(frozen=True, slots=True)
class CKernel:
    """A rule as a built C library.

    It reduces over rows to `row_values` numbers for each, and over nothing else where it is `rowwise`: then it needs
    room for them only in rows that are longer than a block.
    """

    select: Callable[[Mapping[str, float]], int]
    library: ctypes.CDLL
    tensor_states: tuple[str, ...]
    row_values: int = 0
    rowwise: bool = False
    target: str = field(default="c", init=False)

    @classmethod
    def open(
        cls, path: Path, select: Callable[[Mapping[str, float]], int], tensor_states: tuple[str, ...],
        row_values: int = 0, rowwise: bool = False,
    ) -> CKernel:  # fmt: skip
        """Load the library a generated module stands beside."""
        library = ctypes.CDLL(str(path.absolute()))
        tables = (ctypes.c_int64, ctypes.c_void_p) * 2
        library.optdsl_step.argtypes = (*tables, ctypes.c_int64)
        library.optdsl_convert_with.argtypes = (ctypes.c_void_p,)
        library.optdsl_squares.argtypes = (*tables, ctypes.c_double, ctypes.c_int64, ctypes.c_void_p)
        library.optdsl_strange.argtypes = (*tables, ctypes.c_int64, ctypes.c_void_p)
        return cls(select, library, tensor_states, row_values, rowwise)

    @property
    def width(self) -> int:
        """The number of columns of a row."""
        return STATES + len(self.tensor_states)

    def variant(self, hypers: Mapping[str, float]) -> int:
        return self.select(hypers)

    def plan(self, leaves: Sequence[Leaf]) -> CPlan:
        """Bind the library to leaves. Raises ToolchainError where 16 bits can't be converted for want of a compiler."""
        self._lend([leaf.flat for leaf in leaves])
        return CPlan(self, leaves)

    def _lend(self, arrays: Sequence[Array]) -> None:
        """Give the library what converts 16 bits, where arrays need it: a scan may come before the first plan."""
        if any(array.itemsize == 2 for array in arrays):
            from optdsl.runtime import conversions  # which only 16 bits have a need of

            self.library.optdsl_convert_with(conversions.address())

    def squares(self, gradients: Sequence[Array], clip_value: float) -> float:
        return _in_order(self._scan(gradients, self.library.optdsl_squares, clip_value).values())

    def finite(self, gradients: Sequence[Array]) -> list[bool]:
        return [strange == 0.0 for strange in self._scan(gradients, self.library.optdsl_strange).values()]

    def _scan(self, gradients: Sequence[Array], function: Callable[..., int], *args: float) -> dict[int, float]:
        """Look through gradients and return what is found in each, by its place. Raises as `plan` does."""
        self._lend(gradients)
        members = [[i for i, gradient in enumerate(gradients) if max(gradient.itemsize, 4) == size] for size in SIZES]
        tables = [np.zeros((len(chosen), self.width), np.int64) for chosen in members]
        for chosen, table in zip(members, tables, strict=True):
            for row, index in zip(table, chosen, strict=True):
                gradient = gradients[index]
                row[COUNT], row[GRADIENT], row[GIVEN] = gradient.size, gradient.ctypes.data, _form(gradient)
        return scanned(function, members, tables, *args)


def _arguments(tables: Sequence[Table]) -> list[int]:
    """Return tables as C takes them: the number of rows and the address of each."""
    return [number for table in tables for number in (len(table), table.ctypes.data)]


def scanned(
    function: Callable[..., int], members: Sequence[Sequence[int]], tables: Sequence[Table], *args: float
) -> dict[int, float]:
    """Return what a function of the library finds in the gradient of each leaf, by their numbers and in that order.

    `members` has the numbers of the leaves whose rows are in each table. Raises MemoryError.
    """
    places = [index for chosen in members for index in chosen]
    found = np.zeros(len(places), np.float64)
    if function(*_arguments(tables), *args, threads(), found.ctypes.data) != 0:
        raise MemoryError("no memory for looking through the gradients; nothing was changed")
    return dict(sorted(zip(places, found.tolist(), strict=True)))


def _in_order(numbers: Iterable[float]) -> float:
    """Return a sum, added up from the first to the last in plain float64 on every version of Python."""
    total = 0.0
    for number in numbers:
        total += number
    return total


class CPlan:
    """The tables of addresses that one call of a C kernel works through, a row per parameter, for each element type.

    The step counts of the leaves lie in the tables. Addresses of gradients and numbers are written by `run` or by a
    batch; each knows what it wrote itself, as long as the other hasn't written since.
    """

    def __init__(self, kernel: CKernel, leaves: Sequence[Leaf]) -> None:
        self.kernel = kernel
        self.leaves = leaves
        self.rows = [Rows.of(leaf.data.shape, self._kept(leaf)) for leaf in leaves]
        self.members = [[i for i, leaf in enumerate(leaves) if max(leaf.flat.itemsize, 4) == size] for size in SIZES]
        self.tables = [self._table(chosen) for chosen in self.members]
        self.whole = _arguments(self.tables)
        self.writer: object = None
        # Weak, so that a plan keeps no gradient alive that its owner has let go of.
        self.gradients: list[weakref.ref[Array] | None] = []
        self.hypers: list[Vector | None] = []

    def _kept(self, leaf: Leaf) -> int:
        """Return how many numbers are kept for each row of a leaf."""
        long = row_width(leaf.data.shape) > BLOCK
        return self.kernel.row_values if long or not self.kernel.rowwise else 0

    def _table(self, members: Sequence[int]) -> Table:
        table = np.zeros((len(members), self.kernel.width), np.int64)
        for number, index in enumerate(members):
            table[number] = self._row(self.leaves[index], self.rows[index])
            self.leaves[index].counter = table[number, STEPS : STEPS + 1]
        return table

    def _row(self, leaf: Leaf, rows: Rows) -> list[int]:
        states = [leaf.states[name].ctypes.data if name in leaf.states else 0 for name in self.kernel.tensor_states]
        fixed = [leaf.flat.size, leaf.steps, leaf.variant, 0, leaf.scalars.ctypes.data, leaf.flat.ctypes.data, 0]
        copies = [0 if array is None else array.ctypes.data for array in (leaf.master, leaf.lost)]
        form = _form(leaf.flat)
        return [*fixed, leaf.data.ndim, rows.width, rows.values.ctypes.data, form, form, *copies, *states]

    def batch(self, groups: Sequence[Sequence[int]], ranges: Ranges) -> CBatch | None:
        from optdsl.runtime import gather  # which waits for the first step that can make use of it

        function = gather.function()
        return None if function is None else CBatch(self, function, groups, ranges)

    def run(self, active: Sequence[int], gradients: Sequence[Array], hypers: Sequence[Vector]) -> None:
        if self.writer is not self:
            self.writer = self
            self.gradients, self.hypers = [None] * len(self.leaves), [None] * len(self.leaves)
        given = dict(zip(active, zip(gradients, hypers, strict=True), strict=True))
        self.step([self._rows(*own, given) for own in zip(self.members, self.tables, strict=True)])

    def step(self, rows: Sequence[Any]) -> None:
        """Step what picks rows of each table, and count the step. Raises MemoryError before anything has changed."""
        parts = [table[chosen] for table, chosen in zip(self.tables, rows, strict=True)]
        try:
            self.call(_arguments(parts))
        finally:
            # The library has counted, or hasn't stepped: an interrupt on the way back from it changes nothing in that.
            for table, part, chosen in zip(self.tables, parts, rows, strict=True):
                table[chosen, STEPS] = part[:, STEPS]

    def call(self, tables: Sequence[int]) -> None:
        """Step every row of tables, and count the step in them. Raises MemoryError before anything has changed."""
        if self.kernel.library.optdsl_step(*tables, threads()) != 0:
            raise MemoryError("no memory for the scratch space of a step; nothing was changed")

    def _rows(self, members: list[int], rows: Table, given: Mapping[int, tuple[Array, Vector]]) -> Any:
        """Bring the rows of a table up to date and return what picks those of the leaves that are stepped."""
        chosen = []
        for row, index in enumerate(members):
            if index not in given:
                continue
            chosen.append(row)
            gradient, vector = given[index]
            seen = self.gradients[index]
            if seen is None or seen() is not gradient:
                self.gradients[index] = weakref.ref(gradient)
                rows[row, GRADIENT], rows[row, GIVEN] = gradient.ctypes.data, _form(gradient)
            if vector is not self.hypers[index]:
                self.hypers[index] = vector
                rows[row, HYPERS] = vector.ctypes.data
        return slice(None) if len(chosen) == len(members) else chosen


class CBatch:
    """Rows of a plan's tables in one go, the addresses of gradients read by `optdsl/runtime/gather.c`."""

    def __init__(self, plan: CPlan, function: gather.Function, groups: Sequence[Sequence[int]], ranges: Ranges) -> None:
        self.plan = plan
        self.function = function
        self.parameters = tuple(leaf.data for leaf in plan.leaves), tuple(leaf.array for leaf in plan.leaves)
        self.spans = np.array(ranges.lows, np.int64), np.array(ranges.reach, np.int64)
        self.cells = np.zeros(len(plan.leaves), np.int64)
        self.given = np.zeros(len(plan.leaves), np.int8)
        self.members = [np.array(members, np.intp) for members in plan.members]
        group_of = np.zeros(len(plan.leaves), np.intp)
        for number, group in enumerate(groups):
            group_of[group] = number
        for members, table in zip(self.members, plan.tables, strict=True):
            first, stride = table.ctypes.data + GRADIENT * table.itemsize, table.strides[0]
            self.cells[members] = first + stride * np.arange(len(members))
        owners = [group_of[members] for members in self.members]
        self.rows_of = [[np.flatnonzero(owner == number) for owner in owners] for number in range(len(groups))]
        spans = (span.ctypes.data for span in self.spans)
        self.addresses = (self.cells.ctypes.data, *spans, len(ranges.lows), self.given.ctypes.data)
        self.vectors: list[Vector | None] = [None] * len(groups)
        self.held: tuple[Any, ...] = ()
        self.all = False

    def take(self, gradients: Sequence[Any]) -> bool:
        if self.plan.writer is not self:
            self.plan.writer = self
            self.vectors = [None] * len(self.vectors)
            for table in self.plan.tables:
                table[:, GIVEN] = table[:, STORED]
        held = tuple(gradients)
        taken = self.function(held, *self.parameters, np.ndarray, *self.addresses)
        if taken < 0:
            return False
        self.held, self.all = held, taken == len(held)
        return True

    def release(self) -> None:
        self.held = ()

    def gradients(self) -> Sequence[Array]:
        return [gradient.reshape(-1) for gradient in self.held if gradient is not None]

    def squares(self, clip_value: float) -> float:
        return _in_order(self._scanned(self.plan.kernel.library.optdsl_squares, clip_value).values())

    def finite(self) -> list[bool]:
        found = self._scanned(self.plan.kernel.library.optdsl_strange)
        return [found.get(index, 0.0) == 0.0 for index in range(len(self.held))]

    def _scanned(self, function: Callable[..., int], *args: float) -> dict[int, float]:
        chosen = self._chosen()
        members = [own[rows].tolist() for own, rows in zip(self.members, chosen, strict=True)]
        tables = [table[rows] for table, rows in zip(self.plan.tables, chosen, strict=True)]
        return scanned(function, members, tables, *args)

    def _chosen(self) -> list[Any]:
        """Return what picks the rows of each table that have a gradient."""
        if self.all:
            return [slice(None)] * len(self.members)
        return [np.flatnonzero(self.given[members]) for members in self.members]

    def steps(self, group: int) -> list[int]:
        counts: set[int] = set()
        for table, members, rows in zip(self.plan.tables, self.members, self.rows_of[group], strict=True):
            counts |= set(table[rows[self.given[members[rows]] != 0], STEPS].tolist())
        return sorted(counts)

    def run(self, vectors: Sequence[Vector]) -> None:
        for number, vector in enumerate(vectors):
            if vector is not self.vectors[number]:
                for table, rows in zip(self.plan.tables, self.rows_of[number], strict=True):
                    table[rows, HYPERS] = vector.ctypes.data
                self.vectors[number] = vector
        if self.all:
            self.plan.call(self.plan.whole)
        else:
            self.plan.step(self._chosen())
