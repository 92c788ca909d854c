"""Running a compiled rule on NumPy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

import numpy as np

from optdsl.runtime.arena import Arena, Gathered, Tensors
from optdsl.runtime.blocks import AnyArray, total
from optdsl.runtime.crew import share, taken
from optdsl.runtime.half import ROOMS, SINGLE, Tally, counter, halves, looked_at, working
from optdsl.runtime.kernel import Array, Leaf, Vector, threads
from optdsl.runtime.layout import Layout, Part, divide, lay_out, workers_for
from optdsl.runtime.ranges import Ranges
from optdsl.runtime.rows import Numbers, Rows, row_width
from optdsl.runtime.scratch import LINE, MOST_BYTES, Share, Work, block_length, pool

StepFunction = Callable[..., None]
Works = Mapping[np.dtype[np.generic], list[Work]]
"""The scratch arrays of each thread, by the type of the arithmetic."""
Result = TypeVar("Result")

ROWS_BYTES = 1 << 19
"""The most bytes of the numbers of rows that all threads have in work, where rows are stepped some at a time."""

SPAN = 8
"""Blocks of a gradient that one thread looks through at a time."""


@dataclass(frozen=True, slots=True)
class NumpyKernel:
    """A rule as Python functions over NumPy arrays, one for each combination of optional states.

    A step function is called as `step(x, g, states, scalars, hypers, t, numbers, masks)`: flat arrays, a tuple of the
    flat tensor states in the rule's order (None where absent), the float64 vector of scalar states, a list of floats,
    the step number as a float, and block-sized scratch arrays of the arithmetic's type and of bool. Of a parameter of
    16 bits, x and g are `Half`s, or g is float32. `separable` says
    that a part of a tensor can be stepped without the rest: no reduction and no element count, so that the parts agree
    on the new scalar states. Where `shaped`, the function takes the `Rows` of the parameter as well, with `row_values`
    numbers for each row. `rowwise` says that some rows of a tensor can be stepped without the rest, in the same way.
    """

    select: Callable[[Mapping[str, float]], int]
    steps: Mapping[int, StepFunction]
    tensor_states: tuple[str, ...]
    numbers: int
    masks: int
    separable: bool = False
    shaped: bool = False
    row_values: int = 0
    rowwise: bool = False
    target: str = field(default="numpy", init=False)

    def variant(self, hypers: Mapping[str, float]) -> int:
        return self.select(hypers)

    def plan(self, leaves: Sequence[Leaf]) -> NumpyPlan:
        return NumpyPlan(self, leaves)

    def squares(self, gradients: Sequence[Array], clip_value: float) -> float:
        def of(block: Array, work: Work) -> float:
            part = work[0][0][: block.size]
            np.copyto(part, block)
            if clip_value < inf:
                bound = working(block.dtype).type(clip_value)
                np.clip(part, -bound, bound, out=part)
            np.multiply(part, part, out=part)
            return total(part)

        sum_ = 0.0
        for values in _each_block(gradients, np.dtype(np.float64), (1, 0), of):
            for value in values:  # in order, whichever thread a block came to; sum() would compensate in newer Pythons
                sum_ += value
        return sum_

    def finite(self, gradients: Sequence[Array]) -> list[bool]:
        def of(block: Array, work: Work) -> bool:
            return bool(np.isfinite(block, out=work[1][0][: block.size]).all())

        return [all(values) for values in _each_block(gradients, SINGLE, (0, 1), of)]


def _each_block(
    gradients: Sequence[Array],
    dtype: np.dtype[np.generic],
    scratch: tuple[int, int],
    of: Callable[[Array, Work], Result],
) -> list[list[Result]]:
    """Return what `of` makes of each block of each gradient, in order; large gradients are shared among threads.

    A block is as long as one of `dtype`, the element type of the scratch arrays, of which there are so many numbers
    and truth values.
    """
    length = block_length(dtype)
    large = [gradient.size for gradient in gradients if gradient.size > length]
    workers = workers_for(large, threads())
    longest = min(length, max((gradient.size for gradient in gradients), default=0))
    spans = [(index, start) for index, g in enumerate(gradients) for start in range(0, g.size, length * SPAN)]
    results: list[list[Result]] = [[] for _ in spans]
    queue = deque(range(len(spans)))
    lay = Share(*scratch, longest, workers, shortened=False)
    with pool.lent(lay.size) as buffer:
        work = lay.arrays(buffer, dtype)

        def look_through(worker: int) -> None:
            with np.errstate(all="ignore"):
                for number in taken(queue):
                    index, start = spans[number]
                    span = gradients[index][start : start + length * SPAN]
                    results[number] = [of(span[at : at + length], work[worker]) for at in range(0, span.size, length)]

        share(look_through, workers)
    joined: list[list[Result]] = [[] for _ in gradients]
    for (index, _), values in zip(spans, results, strict=True):
        joined[index] += values
    return joined


class NumpyPlan:
    """The leaves of an optimizer, their states flattened once, and how the last step divided them."""

    def __init__(self, kernel: NumpyKernel, leaves: Sequence[Leaf]) -> None:
        self.kernel = kernel
        self.leaves = leaves
        self.states: list[Tensors] = [
            tuple(leaf.states[name].reshape(-1) if name in leaf.states else None for name in kernel.tensor_states)
            for leaf in leaves
        ]
        kept = 0 if kernel.rowwise else kernel.row_values
        self.masters = [None if leaf.master is None else leaf.master.reshape(-1) for leaf in leaves]
        self.rows: list[tuple[Rows, ...]] = [
            (Rows.of(leaf.data.shape, kept),) if kernel.shaped else () for leaf in leaves
        ]
        self.arena: Arena | None = None
        self.laid: tuple[object, Layout] | None = None

    def batch(self, groups: Sequence[Sequence[int]], ranges: Ranges) -> None:
        return None

    def run(self, active: Sequence[int], gradients: Sequence[Array], hypers: Sequence[Vector]) -> None:
        layout, kernel = self._layout(active, hypers), self.kernel
        grains = [self._grain(active[place]) for place, _ in layout.large]
        parts, workers = divide(layout.large, grains if kernel.separable or kernel.rowwise else None, threads())
        lay = self._share(active, layout, workers)
        room = self._room(layout, lay.workers)
        with pool.lent(lay.size + room * lay.workers) as buffer, np.errstate(all="ignore"):
            dtypes = {working(self.leaves[index].flat.dtype) for index in active}
            work: Works = {dtype: lay.arrays(buffer, dtype) for dtype in dtypes}
            starts = range(lay.size, lay.size + room * lay.workers, room or 1)
            rooms: list[Numbers] = [buffer[start : start + room].view(np.float64) for start in starts]
            step = _Step(self, active, gradients, hypers, rooms)
            if parts:
                step.parts(parts, lay.workers, work)
            for place in layout.single:
                step.single(place, work)
            for batch in layout.batches:
                step.batch(batch, work)

    def _grain(self, index: int) -> int:
        """Return how many elements of a leaf aren't separated."""
        return row_width(self.leaves[index].data.shape) if self.kernel.rowwise else 1

    def _share(self, active: Sequence[int], layout: Layout, workers: int) -> Share:
        """Return the work arrays of at most so many threads.

        Where rows aren't separated, they are short only if they hold whole rows. Otherwise they are as long as on one
        thread, so that long rows are added up in the same parts, and fewer threads have them.
        """
        kernel = self.kernel
        half = any(self.leaves[index].flat.itemsize == 2 for index in active)
        parts = kernel.numbers + ROOMS * half, kernel.masks, layout.longest
        short = Share(*parts, workers, shortened=kernel.separable or kernel.rowwise)
        leaves = [self.leaves[index] for index in active if self.leaves[index].flat.size] if kernel.rowwise else []
        if all(row_width(leaf.data.shape) <= short.length(working(leaf.flat.dtype)) for leaf in leaves):
            return short
        one = Share(*parts, 1, shortened=False)
        return Share(*parts, max(1, min(workers, MOST_BYTES // max(1, one.size))), shortened=False)

    def _room(self, layout: Layout, workers: int) -> int:
        """Return how many bytes the numbers of the rows take that a thread has in work."""
        each = 8 * self.kernel.row_values
        most = max(each, min(ROWS_BYTES // workers, each * layout.longest))
        return -(-most // LINE) * LINE if self.kernel.rowwise else 0

    def _layout(self, active: Sequence[int], hypers: Sequence[Vector]) -> Layout:
        """Return how the leaves are divided: as in the last step, if they are stepped together in the same way."""
        leaves = [self.leaves[index] for index in active]
        keys: list[Hashable] = list(zip(map(id, hypers), [leaf.steps for leaf in leaves], strict=True))
        if leaves and leaves[0].scalars.size:
            keys = [(key, leaf.scalars.tobytes()) for key, leaf in zip(keys, leaves, strict=True)]
        # Equal keys get equal numbers, so that the same leaves in step with one another look the same at every step.
        numbers: dict[Hashable, int] = {}
        pattern = [numbers.setdefault(key, len(numbers)) for key in keys] if len(set(keys)) > 1 else None
        given = list(active), pattern
        if self.laid is None or self.laid[0] != given:
            states = [self.states[index] for index in active]
            self.laid = given, lay_out(leaves, states, keys, self._arena(leaves))
        return self.laid[1]

    def _arena(self, leaves: Sequence[Leaf]) -> Arena | None:
        """Return where small leaves are gathered, if the rule lets them."""
        if not self.kernel.separable or self.kernel.shaped or len(leaves) < 2:
            return None
        if self.arena is None:
            self.arena = Arena()
        return self.arena


class _Step:
    """One step of some leaves. A place is that of a leaf among the gradients."""

    def __init__(
        self, plan: NumpyPlan, active: Sequence[int], gradients: Sequence[Array], hypers: Sequence[Vector],
        rooms: Sequence[Numbers],
    ) -> None:  # fmt: skip
        self.plan = plan
        self.rooms = rooms
        self.active = active
        self.gradients = gradients
        self.hypers = hypers
        self.lists = {id(vector): vector.tolist() for vector in hypers}

    def _call(
        self, place: int, x: AnyArray, g: AnyArray, master: AnyArray | None, states: Tensors, scalars: Vector,
        work: Work, *rows: Rows, batch: Gathered | None = None,
    ) -> None:  # fmt: skip
        """Call the step function for arrays that stand for a leaf, a part of it, or the many of a batch."""
        leaf = self.plan.leaves[self.active[place]]
        function = self.plan.kernel.steps[leaf.variant]
        given = halves(x, g, work[0][-ROOMS:], master, self._tally(leaf, batch)) if x.itemsize == 2 else (x, g)
        function(*given, states, scalars, self.lists[id(self.hypers[place])], float(leaf.steps + 1), *work, *rows)

    def _tally(self, leaf: Leaf, batch: Gathered | None) -> Tally | None:
        """Return what counts lost updates, in the steps in which they are looked for."""
        if leaf.lost is None or not looked_at(leaf.steps + 1):
            return None
        return counter(leaf.lost) if batch is None else batch.tally()

    def single(self, place: int, work: Works, worker: int = 0) -> None:
        """Step a whole leaf."""
        plan, index = self.plan, self.active[place]
        leaf, rows = plan.leaves[index], plan.rows[index]
        if plan.kernel.rowwise:
            room, reductions, count = self.rooms[worker], plan.kernel.row_values, leaf.flat.size // rows[0].width
            if leaf.flat.size > block_length(working(leaf.flat.dtype)) or room.size < reductions * count:
                part = Part(place, slice(0, leaf.flat.size), whole=True)
                leaf.scalars[...] = self._some_rows(part, leaf.scalars.copy(), work, worker)
                return
            rows = (rows[0].some(room, reductions, count),)
        own, master = work[working(leaf.flat.dtype)][worker], plan.masters[index]
        self._call(place, leaf.flat, self.gradients[place], master, plan.states[index], leaf.scalars, own, *rows)

    def batch(self, batch: Gathered, work: Works) -> None:
        """Step the leaves of a batch together."""
        scalars = batch.leaves[0].scalars.copy()
        batch.gather(self.gradients)
        own = work[working(batch.x.dtype)][0]
        self._call(batch.first, batch.x, batch.g, batch.master, batch.states, scalars, own, batch=batch)
        batch.scatter(scalars)

    def parts(self, parts: Sequence[Part], workers: int, work: Works) -> None:
        """Step large leaves, each thread the next part that none has begun."""
        before = {place: self._leaf(place).scalars.copy() for place in {part.place for part in parts}}
        after: dict[int, Vector] = {}
        queue = deque(parts)

        def work_through(worker: int) -> None:
            with np.errstate(all="ignore"):  # which is a setting of each thread
                for part in taken(queue):
                    if part.whole:
                        self.single(part.place, work, worker)
                    else:
                        after[part.place] = self._part(part, before[part.place].copy(), work, worker)

        share(work_through, workers)
        for place, scalars in after.items():
            self._leaf(place).scalars[...] = scalars

    def _part(self, part: Part, scalars: Vector, work: Works, worker: int) -> Vector:
        """Step a part of a leaf, and return the new scalar states, which are the same for every part."""
        if self.plan.kernel.rowwise:
            return self._some_rows(part, scalars, work, worker)
        self._elements(part.place, part.elements, scalars, work, worker, *self.plan.rows[self.active[part.place]])
        return scalars

    def _some_rows(self, part: Part, before: Vector, work: Works, worker: int) -> Vector:
        """Step the rows of a part, about a block of them at a time, and return the new scalar states."""
        plan, room, index = self.plan, self.rooms[worker], self.active[part.place]
        (rows,), reductions = plan.rows[index], plan.kernel.row_values
        dtype = working(plan.leaves[index].flat.dtype)
        length = min([block_length(dtype), *(array.size for array in work[dtype][worker][0])])
        most = max(1, min(length // rows.width, room.size // reductions))
        start, stop = part.elements.start, part.elements.stop
        scalars = before
        for first in range(start, stop, most * rows.width):
            last = min(first + most * rows.width, stop)
            scalars = before.copy()
            some = rows.some(room, reductions, (last - first) // rows.width)
            self._elements(part.place, slice(first, last), scalars, work, worker, some)
        return scalars

    def _elements(self, place: int, these: slice, scalars: Vector, work: Works, worker: int, *rows: Rows) -> None:
        """Step some elements of a leaf."""
        index = self.active[place]
        leaf, gradient = self.plan.leaves[index], self.gradients[place]
        states = tuple(None if state is None else state[these] for state in self.plan.states[index])
        own, master = work[working(leaf.flat.dtype)][worker], self.plan.masters[index]
        some = None if master is None else master[these]
        self._call(place, leaf.flat[these], gradient[these], some, states, scalars, own, *rows)

    def _leaf(self, place: int) -> Leaf:
        return self.plan.leaves[self.active[place]]
