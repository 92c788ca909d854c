"""Running a compiled rule on NumPy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from optdsl.runtime.blocks import BLOCK_BYTES, blocks, total
from optdsl.runtime.kernel import Array, Leaf, threads
from optdsl.runtime.ranges import Ranges
from optdsl.runtime.rows import Rows

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

    def batch(self, groups: Sequence[Sequence[int]], ranges: Ranges) -> None:
        return None

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
