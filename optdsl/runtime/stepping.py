"""A step over all parameters: everything is checked first, and then one kernel call changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime.clipping import Limits, nonfinite_names, norm_factor
from optdsl.runtime.kernel import Array
from optdsl.runtime.slots import Slot, become, existing
from optdsl.runtime.store import Store
from optdsl.runtime.wording import listing

Numbers = Mapping[str, float]
Vector = npt.NDArray[np.float64]


def advance(store: Store, gradients: Sequence[Any], limits: Limits) -> bool:
    """Step every parameter whose gradient isn't None; return False if the step was left out as not finite.

    An exception leaves parameters, states and step counts as they were. Raises as `Optimizer.step` does.
    """
    active = [index for index, gradient in enumerate(gradients) if gradient is not None]
    if not active:
        return True
    slots = [store.slots[index] for index in active]
    for slot in slots:
        slot.check_writable()
    ranges = store.ranges()
    flats = [
        slot.intake.take(slot.name, gradients[index], slot.leaf.data, ranges)
        for index, slot in zip(active, slots, strict=True)
    ]
    numbers = _numbers(store, slots)
    factor = _factor(store, slots, flats, limits)
    if factor is None:
        return False
    vectors = _vectors(slots, numbers, limits.bound, factor)
    _run(store, active, flats, numbers, vectors)
    return True


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
    if limits.nonfinite != "propagate":
        bad = nonfinite_names(store.kernel, [slot.name for slot in slots], flats)
        if bad and limits.nonfinite == "raise":
            raise FloatingPointError(f"gradient of {listing(bad)} has an infinity or NaN; nothing was changed")
        if bad:
            return None
    if limits.clip_norm is None:
        return 1.0
    return norm_factor(store.kernel, flats, limits.clip_norm, limits.bound)


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
    """Bring missing states into being, step, and count; a step that fails leaves the states that were there."""
    slots = [store.slots[index] for index in active]
    changing = [pair for pair in zip(slots, numbers, strict=True) if _changes(store, *pair)]
    becoming = [become(store.rule, store.kernel, slot, values) for slot, values in changing]
    fresh = [slot for slot, _ in changing if slot.alive is None]
    before = [slot.snapshot() for slot, _ in changing if slot.alive is not None]
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
        slot.leaf.steps += 1
        slot.copy_out()


def _changes(store: Store, slot: Slot, numbers: Numbers) -> bool:
    """Return whether a slot's states come into being with this step, or come or go by a schedule."""
    if slot.alive is None:
        return True
    if not slot.group.scheduled:
        return False
    return existing(store.rule, numbers) != slot.alive or store.kernel.variant(numbers) != slot.leaf.variant
