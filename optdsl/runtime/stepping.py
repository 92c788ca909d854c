"""A step over all parameters: everything is checked first, and then one kernel call changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optdsl.runtime.clipping import Limits, norm_factor
from optdsl.runtime.groups import ParamGroup
from optdsl.runtime.interrupts import put_off
from optdsl.runtime.kernel import Array, Batch, Vector
from optdsl.runtime.slots import Slot, become, existing
from optdsl.runtime.store import Store
from optdsl.runtime.wording import listing

Numbers = Mapping[str, float]


def advance(store: Store, gradients: Sequence[Any], limits: Limits) -> bool:
    """Step every parameter whose gradient isn't None; return False if the step was left out as not finite.

    An exception leaves parameters, states and step counts as they were. Raises as `Optimizer.step` does.
    """
    batch = store.batch()
    if batch is not None and batch.take(gradients):
        try:
            numbers = _numbers_together(store, batch)
            if numbers is not None:
                store.forget_gradients()  # those that a step one by one has held
                return _together(store, batch, numbers, limits)
        finally:
            batch.release()
    return _one_by_one(store, gradients, limits)


# All parameters as they were at the last step.


def _numbers_together(store: Store, batch: Batch) -> list[Numbers] | None:
    """Return the hyperparameters of each group; None where a schedule has parameters of a group go separate ways."""
    result = []
    for index, group in enumerate(store.groups):
        if not group.scheduled:
            result.append(group.numbers(1))
            continue
        steps = batch.steps(index)
        if len(steps) > 1:
            return None
        result.append(group.numbers(steps[0] + 1) if steps else {})
        if steps and any(_changes(store, slot, result[-1]) for slot in store.kinds(index)):
            return None
    return result


def _together(store: Store, batch: Batch, numbers: Sequence[Numbers], limits: Limits) -> bool:
    """Step every parameter with the gradients a batch has taken."""
    if limits.nonfinite != "propagate":
        bad = [slot.name for slot, fine in zip(store.slots, batch.finite(), strict=True) if not fine]
        if _left_out(bad, limits):
            return False
    factor = 1.0
    if limits.clip_norm is not None:
        factor = norm_factor(batch.squares(limits.bound), batch.gradients, limits.clip_norm, limits.bound)
    groups: Sequence[ParamGroup] = store.groups
    batch.run([group.vector(own, limits.bound, factor) for group, own in zip(groups, numbers, strict=True)])
    return True


# Parameters one by one, whatever the gradients are.


def _one_by_one(store: Store, gradients: Sequence[Any], limits: Limits) -> bool:
    """Do what `advance` does, for gradients of any kind."""
    active = [index for index, gradient in enumerate(gradients) if gradient is not None]
    if not active:
        return True
    slots = [store.slots[index] for index in active]
    for slot in slots:
        slot.check_unchanged()
    flats = store.take(active, gradients)
    numbers = _numbers(store, slots)
    factor = _factor(store, slots, flats, limits)
    if factor is None:
        return False
    vectors = _vectors(slots, numbers, limits.bound, factor)
    _run(store, active, flats, numbers, vectors)
    return True


def _left_out(bad: Sequence[str], limits: Limits) -> bool:
    """Return whether to leave a step out for gradients that aren't finite. Raises FloatingPointError if so asked."""
    if bad and limits.nonfinite == "raise":
        raise FloatingPointError(f"gradient of {listing(bad)} has an infinity or NaN; nothing was changed")
    return bool(bad)


def _numbers(store: Store, slots: Sequence[Slot]) -> list[Numbers]:
    """Return the hyperparameters of each slot's step, one mapping for all slots of a group at the same step."""
    known: dict[tuple[int, int], Numbers] = {}
    result = []
    for slot in slots:
        group, step = slot.group, slot.leaf.steps + 1
        key = id(group), step if group.scheduled else 0
        if key not in known:
            known[key] = group.numbers(step)
        result.append(known[key])
    return result


def _factor(store: Store, slots: Sequence[Slot], flats: Sequence[Array], limits: Limits) -> float | None:
    """Return the factor of the gradients; None to leave the step out. Raises FloatingPointError if so asked."""
    with np.errstate(all="ignore"):
        if limits.nonfinite != "propagate":
            finite = store.kernel.finite(flats)
            if _left_out([slot.name for slot, fine in zip(slots, finite, strict=True) if not fine], limits):
                return None
        if limits.clip_norm is None:
            return 1.0
        squares = store.kernel.squares(flats, limits.bound)
    return norm_factor(squares, lambda: flats, limits.clip_norm, limits.bound)


def _vectors(slots: Sequence[Slot], numbers: Sequence[Numbers], bound: float, factor: float) -> list[Vector]:
    """Return the vector of each slot, one array for all that share their numbers and group."""
    made: dict[int, Vector] = {}
    result = []
    for slot, values in zip(slots, numbers, strict=True):
        if id(values) not in made:
            made[id(values)] = slot.group.vector(values, bound, factor)
        result.append(made[id(values)])
    return result


def _run(store: Store, active: list[int], flats: list[Array], numbers: list[Numbers], vectors: list[Vector]) -> None:
    """Bring missing states into being and step; a step that fails leaves the states that were there."""
    slots = [store.slots[index] for index in active]
    changing = [pair for pair in zip(slots, numbers, strict=True) if _changes(store, *pair)]
    becoming = [become(store.rule, store.kernel, slot, values) for slot, values in changing]
    fresh = [slot for slot, _ in changing if slot.alive is None]
    before = [slot.snapshot() for slot, _ in changing if slot.alive is not None]
    with put_off():
        try:
            store.commit(becoming)
            plan = store.plan()
            for slot in slots:
                slot.copy_in()
            plan.run(active, flats, vectors)
        except BaseException:
            store.drop_states(fresh)
            store.commit(before)
            raise
        for slot in slots:
            slot.copy_out()


def _changes(store: Store, slot: Slot, numbers: Numbers) -> bool:
    """Return whether a slot's states come into being with this step, or come or go by a schedule."""
    if slot.alive is None:
        return True
    if not slot.group.scheduled:
        return False
    return existing(store.rule, numbers) != slot.alive or store.kernel.variant(numbers) != slot.leaf.variant
