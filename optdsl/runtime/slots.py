"""One parameter of an optimizer and the states it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir.storage import rounded, storage_type
from optdsl.runtime.groups import ParamGroup
from optdsl.runtime.half import MASTER, SINGLE, current, working
from optdsl.runtime.kernel import Array, Kernel, Leaf
from optdsl.runtime.memory import Intake
from optdsl.runtime.rule import RuleInfo, State

Scalars = npt.NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Slot:
    """One parameter: as the caller gave it, as the kernel sees it, and what it has come to.

    `private` says that the kernel works on a copy. `alive` names the states that have come into being; None before.
    """

    given: Any
    leaf: Leaf
    group: ParamGroup
    private: bool
    intake: Intake = field(default_factory=Intake)
    alive: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The name of the parameter."""
        return self.leaf.name

    def check_writable(self) -> None:
        """Raise ValueError if the caller has made the array read-only."""
        if not self.leaf.data.flags.writeable:
            raise ValueError(f"parameter {self.name!r} has become read-only")

    def copy_in(self) -> None:
        """Bring the kernel's copy, if it works on one, up to date with the caller's array."""
        if self.private:
            np.copyto(self.leaf.flat.reshape(self.leaf.data.shape), self.leaf.data)

    def copy_out(self) -> None:
        """Bring the caller's array up to date with the kernel's copy, if it works on one."""
        if self.private:
            np.copyto(self.leaf.data, self.leaf.flat.reshape(self.leaf.data.shape))

    def snapshot(self) -> Becoming:
        """Return the states as they are, to come back to."""
        leaf = self.leaf
        return Becoming(self, leaf.variant, self.alive or (), leaf.states, leaf.scalars.copy())

    def drop_states(self) -> None:
        """Be as before the first step, the step count apart."""
        self.alive = None
        self.leaf.states = {}


@dataclass(frozen=True, slots=True)
class Shown:
    """Says that the parameters hold a view of the name; `kept` are their training values, one for each slot."""

    name: str
    kept: list[Array]


@dataclass(frozen=True, slots=True)
class Becoming:
    """What a slot's states are about to be. Making one changes nothing, and `commit` can't fail."""

    slot: Slot
    variant: int
    alive: tuple[str, ...]
    states: dict[str, Array]
    scalars: Scalars

    def commit(self) -> None:
        """Put the states in place."""
        leaf = self.slot.leaf
        self.slot.alive = self.alive
        leaf.states = self.states
        leaf.scalars[...] = self.scalars
        leaf.variant = self.variant


def state_dtype(state: State, data: Array) -> np.dtype[Any]:
    """Return the element type of a state of a parameter."""
    return working(data.dtype) if state.dtype is None else storage_type(state.dtype)


def _initial(state: State, numbers: Mapping[str, float], data: Array) -> Array:
    """Return the first value of a state; `data` is the parameter as arithmetic has it."""
    # A scalar is rounded where it enters element arithmetic, here too.
    value = np.asarray(state.init(numbers, data)).astype(data.dtype, copy=False)
    dtype = state_dtype(state, data)
    if value.ndim == 0 and value == 0 and not np.signbit(value):
        return np.zeros(data.shape, dtype)  # pages that are never written to cost nothing
    result = np.empty(data.shape, dtype)
    result[...] = rounded(value, dtype)
    return result


def existing(rule: RuleInfo, numbers: Mapping[str, float]) -> tuple[str, ...]:
    """Return the names of the states that exist at these hyperparameters."""
    return tuple(state.name for state in rule.states if state.exists(numbers))


def states_of(rule: RuleInfo, slot: Slot) -> dict[str, npt.NDArray[Any]]:
    """Return a slot's states by name: the arrays themselves, scalar states as 0-d views. A master copy comes last."""
    result: dict[str, npt.NDArray[Any]] = {}
    positions = {state.name: position for position, state in enumerate(rule.scalar_states)}
    for name in slot.alive or ():
        if name in positions:
            position = positions[name]
            result[name] = slot.leaf.scalars[position : position + 1].reshape(())
        else:
            result[name] = slot.leaf.states[name]
    if slot.leaf.master is not None:
        result[MASTER] = slot.leaf.master
    return result


def become(rule: RuleInfo, kernel: Kernel, slot: Slot, numbers: Mapping[str, float]) -> Becoming:
    """Return the states a slot has at these hyperparameters: those it has stay, missing ones are initialised."""
    alive = existing(rule, numbers)
    had = slot.alive or ()
    states: dict[str, Array] = {}
    scalars = slot.leaf.scalars.copy()
    missing = [state for state in rule.states if state.name in alive and state.name not in had]
    with np.errstate(all="ignore"):  # scalar and element arithmetic of the language never warn
        data = current(slot.leaf.data, slot.leaf.master) if missing else slot.leaf.data
        for state in rule.tensor_states:
            if state.name in alive:
                states[state.name] = (
                    _initial(state, numbers, data) if state in missing else slot.leaf.states[state.name]
                )
        for position, state in enumerate(rule.scalar_states):
            if state in missing:
                scalars[position] = state.init(numbers, data)
        if slot.leaf.mastered:
            master = slot.leaf.master
            states[MASTER] = slot.leaf.data.astype(SINGLE, order="C") if master is None else master
    return Becoming(slot, kernel.variant(numbers), alive, states, scalars)
