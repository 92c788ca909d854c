"""What a compiled rule offers to the runtime, whatever target it was compiled for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from optdsl.runtime.half import MASTER
from optdsl.runtime.ranges import Ranges

Array = npt.NDArray[np.floating]
Vector = npt.NDArray[np.float64]
"""The numbers of a step: the hyperparameters in the rule's order, then the clip value, then the gradient's factor."""


def _no_steps() -> npt.NDArray[np.int64]:
    return np.zeros(1, np.int64)


@dataclass(slots=True, eq=False)
class Leaf:
    """One parameter as a kernel sees it.

    `flat` is one-dimensional, contiguous, aligned and writable: a view of the caller's array, or a private copy where
    the caller's strides forbid one. `states` are arrays of the caller's shape, C-contiguous, by name, only those that
    exist. `scalars` holds the rule's scalar states as float64, in the rule's order. `counter` holds the number of steps
    done; a plan may have it lie in a table of its own.

    A parameter of 16 bits is stepped in float32. Where it is `mastered`, a float32 copy of it lies beside its states,
    which is stepped in its place and then rounded to it. Where it isn't, `lost` may be there: a kernel adds to it, in
    the steps whose number is a power of two, how many elements have moved and how many of those rounding put back.
    """

    name: str
    data: Array
    flat: Array
    states: dict[str, Array]
    scalars: npt.NDArray[np.float64]
    variant: int = 0
    counter: npt.NDArray[np.int64] = field(default_factory=_no_steps)
    mastered: bool = False
    lost: npt.NDArray[np.int64] | None = None

    @property
    def master(self) -> Array | None:
        """The master copy, once it has come into being with the states."""
        return self.states.get(MASTER) if self.mastered else None

    @property
    def steps(self) -> int:
        """The number of steps done."""
        return int(self.counter[0])

    @steps.setter
    def steps(self, value: int) -> None:
        self.counter[0] = value


class Batch(Protocol):
    """The leaves of a plan stepped together, with gradients read straight from the caller's arrays."""

    def take(self, gradients: Sequence[Any]) -> bool:
        """Take a gradient for each leaf, to be kept until `release`; False, and none is taken, unless all are plain.

        Plain is a `numpy.ndarray` itself, of the parameter's shape and element type, contiguous, aligned, and apart
        from parameters and states, for a parameter that can be written to. None leaves a leaf as it is.
        """

    def release(self) -> None:
        """Let go of the gradients."""

    def gradients(self) -> Sequence[Array]:
        """Return the gradients taken, one-dimensional."""

    def squares(self, clip_value: float) -> float:
        """Return what the kernel's `squares` does for the gradients taken. Raises MemoryError."""

    def finite(self) -> list[bool]:
        """Return for each leaf whether all elements of its gradient are finite, if it has one. Raises MemoryError."""

    def steps(self, group: int) -> list[int]:
        """Return the numbers of steps that leaves of a group have done which have a gradient, each number once."""

    def run(self, vectors: Sequence[Vector]) -> None:
        """Step the leaves with a gradient in place and count the step; `vectors` has one for each group.

        Raises MemoryError before anything has changed.
        """


class Plan(Protocol):
    """A kernel bound to a fixed list of leaves, with everything cached that doesn't change between steps.

    The leaves keep their arrays and their variant as long as the plan is used.
    """

    def run(self, active: Sequence[int], gradients: Sequence[Array], hypers: Sequence[Vector]) -> None:
        """Step the leaves numbered in `active`, in place.

        `gradients[k]` (one-dimensional, contiguous, aligned, of the parameter's element type or for one of 16 bits of
        float32, sharing no memory with parameters or states) and `hypers[k]` belong to leaf `active[k]`, whose step
        number is its `steps` + 1. Raises MemoryError before anything has changed. Does not count the step.
        """

    def batch(self, groups: Sequence[Sequence[int]], ranges: Ranges) -> Batch | None:
        """Return what steps all leaves together, those of each group with numbers of their own; None without a way.

        `groups` has the numbers of the leaves of each group, at least one; `ranges` is the memory of parameters and
        states.
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
        """Return the float64 sum of squares over gradients, each element first clipped to +-clip_value.

        May raise MemoryError, as `finite` may.
        """

    def finite(self, gradients: Sequence[Array]) -> list[bool]:
        """Return for each gradient whether all its elements are finite."""


def processors() -> int:
    """Return how many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Return how many threads a step may use: `OPTDSL_NUM_THREADS`, else the processors this process may run on."""
    asked = os.environ.get("OPTDSL_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return processors()
