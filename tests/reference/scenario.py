"""What happens in a run: three parameters, a hundred gradients for each, two groups, a changing learning rate.

The start (18,) and the gradients (100, 18) lie in `recorded/scenario.npz`, drawn by :func:`draw`, so that a later NumPy
with another stream of random numbers changes nothing. A row of 18 numbers holds the parameters `a` (3, 4), `b` (5,) and
`c` () laid end to end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Paths = dict[str, Array]
"""The path of the parameters under `""`, and of each compared state under our name of it: (16, 18) each."""

RECORDED = Path(__file__).parent / "recorded"
STEPS = 100
RECORDED_STEPS = (1, 2, 3, 4, 5, 10, 17, 20, 30, 40, 50, 60, 70, 80, 90, 100)
SHAPES: dict[str, tuple[int, ...]] = {"a": (3, 4), "b": (5,), "c": ()}
SIZE = 18

#: Steps in which a parameter gets no gradient at all.
MISSING: dict[str, tuple[int, ...]] = {"a": (2, 17, 50), "b": (), "c": (1, 2, 3, 40, 41, 77)}
#: Steps in which a parameter's gradient is zero in every element.
ALL_ZERO: dict[str, tuple[int, ...]] = {"b": (30,)}


@dataclass(frozen=True)
class Scenario:
    """The parameters, their gradients and what happens on the way."""

    start: dict[str, Array]
    gradients: tuple[dict[str, Array | None], ...]
    """One mapping per step, step 1 first; ``None`` where the parameter has no gradient."""
    groups: tuple[tuple[tuple[str, ...], float], ...] = ((("a",), 1.0), (("b", "c"), 0.5))
    """Parameter names of each group, with the factor from the row's learning rate to the group's."""
    lr_change_step: int | None = 60
    """The learning rate of the first group changes before this step (counted from 1)."""
    lr_change_factor: float = 0.5
    recorded_steps: tuple[int, ...] = RECORDED_STEPS

    def rates(self, lr: float, step: int) -> dict[str, float]:
        """Return the learning rate of each parameter at a step."""
        changed = self.lr_change_step is not None and step >= self.lr_change_step
        factors = [self.lr_change_factor if changed and not index else 1.0 for index in range(len(self.groups))]
        pairs = zip(self.groups, factors, strict=True)
        return {name: lr * factor * change for (names, factor), change in pairs for name in names}


def pack(arrays: Mapping[str, Array]) -> Array:
    """Lay the parameters there are end to end in a row of numbers: 18 where all three are there."""
    return np.concatenate([np.ravel(arrays[name]) for name in SHAPES if name in arrays])


def unpack(row: Array) -> dict[str, Array]:
    """Cut a row of 18 numbers into `a`, `b` and `c` (fresh arrays)."""
    arrays: dict[str, Array] = {}
    offset = 0
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        arrays[name] = row[offset : offset + size].reshape(shape).copy()
        offset += size
    return arrays


def draw() -> tuple[Array, Array]:
    """Draw the start (18,) and the gradients (100, 18): a slow drift under noise, with exact zeros strewn in.

    The last element of `a` never has a gradient other than zero.
    """
    random = np.random.default_rng(20240607)
    start = random.standard_normal(SIZE)
    steps = np.arange(1, STEPS + 1)[:, None]
    drift = random.normal(0.6, 0.5, SIZE) * np.cos(steps * random.uniform(0.01, 0.06, SIZE))
    scale = 10.0 ** random.uniform(-2, 1, SIZE)
    gradients = scale * (drift + 0.7 * random.standard_normal((STEPS, SIZE)))
    gradients[random.random((STEPS, SIZE)) < 0.08] = 0
    gradients[:, int(np.prod(SHAPES["a"])) - 1] = 0
    for name, zero_steps in ALL_ZERO.items():
        columns = pack({other: np.full(shape, float(other == name)) for other, shape in SHAPES.items()}) == 1
        for step in zero_steps:
            gradients[step - 1, columns] = 0
    return start, gradients


@cache
def _recorded() -> tuple[Array, Array]:
    with np.load(RECORDED / "scenario.npz") as data:
        return data["start"], data["gradients"]


def _whole() -> Scenario:
    start, rows = _recorded()
    gradients: list[dict[str, Array | None]] = []
    for step, row in enumerate(rows, start=1):
        given = unpack(row)
        gradients.append({name: None if step in MISSING[name] else given[name] for name in SHAPES})
    return Scenario(unpack(start), tuple(gradients))


def _matrix() -> Scenario:
    """The first parameter alone, for what takes matrices only."""
    whole = _whole()
    gradients = tuple({"a": given["a"]} for given in whole.gradients)
    return replace(whole, start={"a": whole.start["a"]}, gradients=gradients, groups=whole.groups[:1])


def _steady() -> Scenario:
    """The learning rate stays as it is, for what can't change it on the way."""
    return replace(_whole(), lr_change_step=None)


def _lively() -> Scenario:
    """Without exact zeros in the gradients, for what divides by them."""
    whole = _whole()
    gradients: list[dict[str, Array | None]] = [
        {name: None if g is None else np.where(g == 0, 0.01, g) for name, g in given.items()}
        for given in whole.gradients
    ]
    return replace(whole, gradients=tuple(gradients))


_MADE = {"whole": _whole, "matrix": _matrix, "steady": _steady, "lively": _lively}
NAMES = tuple(_MADE)


def scenario(name: str = "whole") -> Scenario:
    """Return a scenario, in arrays of its own at every call."""
    return _MADE[name]()
