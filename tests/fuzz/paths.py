"""Steps in a row on both targets, in the meaning of the kernels, through a checkpoint and on several threads."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import constant, initial_states
from optdsl.ir.evaluate import view as view_of
from optdsl.ir.kernel import Program
from optdsl.ir.kernel import run as run
from optdsl.ir.nodes import Rule, has_reduction
from optdsl.runtime.optimizer import Optimizer
from tests.targets.support import Snapshot, calls_function, same, snapshot

from .judge import variant_at
from .points import Course, array, share_finite, special_array

STEPS, HALF = 4, 2
SHAPES: dict[str, tuple[int, ...]] = {
    "number": (), "one": (1,), "two": (2,), "seven": (7,), "matrix": (3, 5), "cube": (2, 1, 3), "over": (17,),
    "lanes": (33,), "empty": (0,),
}  # fmt: skip
SPECIAL: dict[str, tuple[int, ...]] = {"special": (33,), "edges": (2, 4)}
WORTH = 2 * 262_144 + 17
"""Elements for which C starts two threads, and which no block divides."""

Array = npt.NDArray[Any]


def promised(rule: Rule) -> bool:
    """Return whether both targets leave the same bits at every size: no sums, no functions of the libraries."""
    return not calls_function(rule) and not has_sums(rule)


def has_sums(rule: Rule) -> bool:
    """Return whether a rule reduces anything."""
    return any(has_reduction(equation.value) for equation in rule.equations)


class Walk:
    """The same steps by several ways, which must leave the same bits where these are promised."""

    def __init__(
        self, program: Program, made: Mapping[str, type[Optimizer]], chance: random.Random, course: Course, dtype: Any,
        folder: Path,
    ) -> None:  # fmt: skip
        self.program, self.rule, self.made = program, program.rule, made
        self.dtype, self.folder, self.hypers = np.dtype(dtype), folder, course.hypers
        self.chance, self.scale = chance, course.scale
        # Sums of at most two elements don't depend on the order, functions of libraries on the library.
        few = {name for name, shape in SHAPES.items() if np.prod(shape) <= 2}
        whole = {*SHAPES, *SPECIAL} if not has_sums(self.rule) else few
        self.exact = set() if calls_function(self.rule) else whole
        self.start = self._drawn()
        self.gradients = [self._drawn() for _ in range(STEPS)]
        self.finite = 1.0

    def _drawn(self) -> Snapshot:
        tame = {name: array(self.chance, shape, self.dtype, self.scale) for name, shape in SHAPES.items()}
        return tame | {name: special_array(self.chance, shape, self.dtype) for name, shape in SPECIAL.items()}

    def differences(self) -> Iterator[tuple[str, str]]:
        """Yield the oracle that saw a difference, and what it saw."""
        walked = {target: self._steps(target) for target in self.made}
        numpy, c = walked["numpy"], walked["c"]
        tame = [value for name, value in numpy[-1].items() if name.split(".")[0] in SHAPES]
        self.finite = share_finite(tame)
        yield from (("targets", f"C and NumPy: {said}") for said in self._apart(c, numpy))
        if self.exact:
            yield from (("meaning", f"NumPy and the kernel: {said}") for said in self._apart(numpy, self._meant()))
        for target, other in (("numpy", "c"), ("c", "numpy")):
            resumed = other if promised(self.rule) else target
            after = self._resumed(target, resumed)
            names = {*SHAPES, *SPECIAL}
            said = self._apart([after], [walked[target][-1]], names, STEPS)
            yield from (("resume", f"saved by {target}, resumed by {resumed}: {one}") for one in said)
        yield from self._views()

    def _apart(
        self, left: list[Snapshot], right: list[Snapshot], names: set[str] | None = None, first: int = 1
    ) -> Iterator[str]:
        """Yield the first difference of two paths."""
        for number, (ours, theirs) in enumerate(zip(left, right, strict=True), first):
            for name in theirs:
                if name.split(".")[0] in (self.exact if names is None else names):
                    said = _difference(ours[name], theirs[name])
                    if said:
                        yield f"step {number}, {name}{said} in {self.dtype} with {self.hypers}"
                        return

    def _optimizer(self, target: str) -> tuple[Optimizer, Snapshot]:
        parameters = {name: value.copy() for name, value in self.start.items()}
        return self.made[target](parameters, **self.hypers), parameters

    def _steps(self, target: str) -> list[Snapshot]:
        optimizer, parameters = self._optimizer(target)
        path = []
        for given in self.gradients:
            optimizer.step(given)
            path.append(snapshot(optimizer, parameters))
        return path

    def _resumed(self, target: str, other: str) -> Snapshot:
        """Return what there is after steps that a checkpoint halves."""
        optimizer, parameters = self._optimizer(target)
        for given in self.gradients[:HALF]:
            optimizer.step(given)
        file = self.folder / "checkpoint.safetensors"
        optimizer.save(file)
        resumed = self.made[other](parameters, **self.hypers)
        resumed.load(file)
        for given in self.gradients[HALF:]:
            resumed.step(given)
        return snapshot(resumed, parameters)

    def _meant(self) -> list[Snapshot]:
        """Return what the kernels mean, by the interpreter, for the parameters whose bits are promised."""
        path: list[Snapshot] = [{} for _ in self.gradients]
        variant = variant_at(self.program, self.hypers)
        kernel = next(kernel for kernel in self.program.kernels if kernel.variant == variant)
        arithmetic = Arrays(self.dtype)
        for name in self.exact:
            shape, x = self.start[name].shape, self.start[name].reshape(-1)
            states = initial_states(self.rule, arithmetic, self.hypers, x, shape)
            for t, given in enumerate(self.gradients, 1):
                x, states = run(kernel, arithmetic, self.hypers, x, given[name].reshape(-1), states, t, shape)
                path[t - 1][name] = x.reshape(shape)
                for state, value in states.items():
                    of = () if self.rule.state(state).scalar else shape
                    path[t - 1][f"{name}.{state}"] = np.asarray(value).reshape(of)
        return path

    def _views(self) -> Iterator[tuple[str, str]]:
        """Yield where a view differs from its meaning."""
        if not self.rule.views:
            return
        optimizer, parameters = self._optimizer("numpy")
        optimizer.step(self.gradients[0])
        arithmetic = Arrays(self.dtype)
        for view in self.rule.views:
            if view.when is not None and not constant(view.when, self.hypers):
                continue
            seen = optimizer.view(view.name)
            for name in parameters:
                states = {n: _flat(v) for n, v in optimizer.state[name].items()}
                shape, x = parameters[name].shape, parameters[name].reshape(-1)
                meant = view_of(self.rule, view.name, arithmetic, self.hypers, x, states, 1, shape)
                said = _difference(seen[name].reshape(-1), np.asarray(meant))
                if said:
                    yield "view", f"{view.name} of {name}{said} in {self.dtype} with {self.hypers}"
                    return

    def threads(self) -> Iterator[str]:
        """Yield where the number of threads makes a difference."""
        start = {"large": array(self.chance, (WORTH,), self.dtype, self.scale)}
        given = {"large": np.roll(start["large"], 12345)}
        for target, one in self.made.items():
            after = []
            for count in (1, 2):
                with threads(count):
                    parameters = {name: value.copy() for name, value in start.items()}
                    optimizer = one(parameters, **self.hypers)
                    optimizer.step(given)
                    after.append(snapshot(optimizer, parameters))
            yield from (f"{target}, 1 and 2: {said}" for said in self._apart(after[:1], after[1:], {"large"}))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let steps use so many threads."""
    before = os.environ.get("OPTDSL_NUM_THREADS")
    os.environ["OPTDSL_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OPTDSL_NUM_THREADS"]
        else:
            os.environ["OPTDSL_NUM_THREADS"] = before


def _flat(value: Array) -> Any:
    return value.reshape(-1) if value.ndim else float(value)


def _difference(left: Array, right: Array) -> str:
    """Return where two arrays differ first, or ""."""
    if same(left, right):
        return ""
    if (left.shape, left.dtype) != (right.shape, right.dtype):
        return f": {left.dtype} of {left.shape} is not {right.dtype} of {right.shape}"
    a, b = left.reshape(-1), right.reshape(-1)
    at = next(i for i in range(a.size) if not same(a[i : i + 1], b[i : i + 1]))
    return f"[{at}]: {a[at]!r} is not {b[at]!r}"
