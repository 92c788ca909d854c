"""What a compiled rule offers to the runtime, whatever target it was compiled for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

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


def threads() -> int:
    """Return how many threads a step may use: `OPTDSL_NUM_THREADS`, else the processors this process may run on."""
    asked = os.environ.get("OPTDSL_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
