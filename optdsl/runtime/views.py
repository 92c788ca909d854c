"""Views: other points to read parameters at, computed anew or put into the parameters' own arrays for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from optdsl.runtime.groups import evaluate
from optdsl.runtime.half import current
from optdsl.runtime.kernel import Array
from optdsl.runtime.rule import RuleInfo, View
from optdsl.runtime.slots import Shown, Slot, existing, states_of
from optdsl.runtime.store import Store
from optdsl.runtime.tree import Node
from optdsl.runtime.wording import kind, listing, suggestion


def find(store: Store, name: str | None) -> View:
    """Return a view that some parameter has: without a name the one called `eval`, else the only one.

    Raises ValueError where there is no view, none of that name, or several to choose from.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"a view is asked for by its name, got {kind(name)}")
    rule, numbers = store.rule, [group.numbers(1) for group in store.groups]
    views = {view.name: view for view in rule.views if any(view.exists(hypers) for hypers in numbers)}
    absent = {view.name: view.condition for view in rule.views if view.name not in views}
    if name in absent:
        raise ValueError(f"there is the view {name!r} of {rule.name} only where {absent[name]}")
    if not views and absent:
        choices = " or ".join(f"{absent_name!r} where {condition}" for absent_name, condition in absent.items())
        raise ValueError(f"the rule {rule.name} has no view with these options; there is {choices}")
    if not views:
        raise ValueError(f"the rule {rule.name} has no view: its parameters are read as they are")
    if name is None:
        if "eval" not in views and len(views) > 1:
            raise ValueError(f"the rule {rule.name} has several views; name one of {listing(views)}")
        return views.get("eval") or next(iter(views.values()))
    if name not in views:
        raise ValueError(f"the rule {rule.name} has no view {name!r}{suggestion(name, views)}; it has {listing(views)}")
    return views[name]


def compute(store: Store, view: View) -> list[Array]:
    """Return a view of every parameter, in new arrays. It is that of the training values, whatever is shown."""
    shown = store.shown
    data = [slot.leaf.data for slot in store.slots] if shown is None else shown.kept
    with np.errstate(all="ignore"):  # arithmetic of the language never warns
        return [_value(store.rule, view, slot, array) for slot, array in zip(store.slots, data, strict=True)]


def _value(rule: RuleInfo, view: View, slot: Slot, data: Array) -> Array:
    result = np.empty(data.shape, data.dtype)
    wide = current(data, slot.leaf.master)
    if slot.alive is None or slot.leaf.steps == 0 or not view.exists(_numbers(rule, slot)):
        np.copyto(result, data)
        return result
    scalars = {state.name for state in rule.scalar_states}
    states: dict[str, Any] = {
        name: float(array) if name in scalars else array.astype(wide.dtype, copy=False)
        for name, array in states_of(rule, slot).items()
    }
    result[...] = view.value(_numbers(rule, slot), wide, states, float(slot.leaf.steps))
    return result


def _numbers(rule: RuleInfo, slot: Slot) -> dict[str, float]:
    """Return the hyperparameters of the last step.

    A change of the group since then may have made or dropped states; then those of the next step, which fit them.
    """
    settings = slot.group.settings
    numbers = evaluate(rule, settings, slot.leaf.steps)
    return numbers if existing(rule, numbers) == slot.alive else evaluate(rule, settings, slot.leaf.steps + 1)


def structured(store: Store, arrays: Sequence[Array]) -> Any:
    """Return arrays, one for each parameter, in the parameters' structure; with groups, by the parameters' names."""
    if store.grouped:
        return {slot.name: array for slot, array in zip(store.slots, arrays, strict=True)}
    return _rebuilt(store.nodes[0], iter(arrays))


def _rebuilt(node: Node, rest: Iterator[Array]) -> Any:
    if node.kind == "leaf":
        return next(rest)
    if node.kind == "nothing":
        return None
    parts = [_rebuilt(child, rest) for child in node.children]
    if node.kind == "sequence":
        return tuple(parts) if node.type is tuple else parts
    if node.kind == "pairs":
        return list(zip(node.keys, parts, strict=True))
    if node.kind != "fields" or node.type is None:
        return dict(zip(node.keys, parts, strict=True))
    if issubclass(node.type, tuple):
        return node.type(*parts)
    made = object.__new__(node.type)  # a dataclass, whose __init__ may want or do anything
    for key, part in zip(node.keys, parts, strict=True):
        object.__setattr__(made, key, part)
    return made


def show(store: Store, name: str | None) -> None:
    """Put a view into the parameters' arrays, and keep the training values. An error changes nothing."""
    view = find(store, name)
    if store.shown is not None and store.shown.name == view.name:
        return
    for slot in store.slots:
        slot.check_writable()
    values = compute(store, view)
    kept = [slot.leaf.data.copy() for slot in store.slots] if store.shown is None else store.shown.kept
    store.shown = Shown(view.name, kept)  # first, so that whatever interrupts this can be undone
    _put(store, values)


def restore(store: Store) -> None:
    """Put the training values back, if the parameters hold a view."""
    if store.shown is None:
        return
    for slot in store.slots:
        slot.check_writable()
    _put(store, store.shown.kept)
    store.shown = None


def _put(store: Store, values: Sequence[Array]) -> None:
    for slot, value in zip(store.slots, values, strict=True):
        np.copyto(slot.leaf.data, value)
