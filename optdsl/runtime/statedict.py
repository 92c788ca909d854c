"""State dictionaries: what an optimizer knows beyond its parameters, as plain data and copies of arrays.

In the order of the parameters, and keyed by their names:

    {"format": 2, "rule": "Adam", "digest": "…", "options": {"clip_norm": None, …}, "skipped": 0,
     "param_groups": [{"params": ["W", "b"], "lr": 0.001, …}],
     "steps": {"W": 10, "b": 10},
     "state": {"W": {"m": array, "v": array}, "b": {…}}}

Parameters themselves aren't in it. One without a step has no entry under "state". Scalar states are 0-d float64 arrays.
A hyperparameter with a schedule stands as {"schedule": "…"}: the text is for the reader, and loading keeps the schedule
of the optimizer that loads.

The format is counted up where a version that knows only the last one would misread what stands here, or in a file;
every earlier one is read for ever. Format 1 had no checksum in its files and is otherwise the same.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime.clipping import Limits
from optdsl.runtime.groups import ParamGroup, evaluate
from optdsl.runtime.half import MASTER, SINGLE
from optdsl.runtime.options import (
    Value,
    as_truth,
    check_limit,
    check_nonfinite,
    check_setting,
    common_options,
    complete,
)  # fmt: skip
from optdsl.runtime.slots import Becoming, Slot, existing, state_dtype, states_of
from optdsl.runtime.store import Store
from optdsl.runtime.wording import kind, listing

FORMAT = 2
"""The format written; all from 1 to this one are read."""

MOST_STEPS = 2**53
"""Kernels see step numbers as float64, which is exact up to here."""

KEYS = ("format", "rule", "digest", "options", "skipped", "param_groups", "steps", "state")

ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
"""What differs between the reprs of equal functions, and would make equal checkpoints differ."""

LIMITS = ("clip_norm", "clip_value", "nonfinite")


def _recorded(setting: Value) -> Any:
    if not callable(setting):
        return setting
    return {"schedule": ADDRESS.sub("", repr(setting))}


def _recorded_group(store: Store, group: ParamGroup) -> dict[str, Any]:
    names: dict[str, Any] = {"params": [slot.name for slot in store.slots if slot.group is group]}
    names.update((name, _recorded(setting)) for name, setting in group.settings.items())
    if "maximize" in common_options(store.rule):
        names["maximize"] = group.maximize
    return names


def describe(store: Store, limits: Limits, skipped: int) -> dict[str, Any]:
    """Return a state dictionary whose arrays are the live ones."""
    common = common_options(store.rule)
    return {
        "format": FORMAT,
        "rule": store.rule.name,
        "digest": store.rule.digest,
        "options": {name: getattr(limits, name) for name in LIMITS if name in common},
        "skipped": skipped,
        "param_groups": [_recorded_group(store, group) for group in store.groups],
        "steps": {slot.name: slot.leaf.steps for slot in store.slots},
        "state": {slot.name: states_of(store.rule, slot) for slot in store.slots if slot.alive is not None},
    }


def export(store: Store, limits: Limits, skipped: int) -> dict[str, Any]:
    """Return a state dictionary."""
    document = describe(store, limits, skipped)
    document["state"] = {
        name: {state: np.array(array) for state, array in states.items()} for name, states in document["state"].items()
    }
    return document


# Taking a state dictionary over: everything is checked and built first, and then put in place by code that can't fail.


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return a value that must be a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is {kind(value)}; expected a mapping")
    return value


def same_keys(given: Any, expected: Sequence[str], what: str) -> None:
    """Raise ValueError listing what is missing and what is unknown."""
    have, known = set(given), set(expected)
    missing = [key for key in expected if key not in have]
    unknown = [key for key in given if key not in known]
    if missing or unknown:
        parts = [f"missing {listing(missing)}"] * bool(missing) + [f"unknown {listing(unknown)}"] * bool(unknown)
        raise ValueError(f"{what}: {'; '.join(parts)}")


def format_of(document: Mapping[str, Any]) -> int:
    """Return the format of a state dictionary. Raises ValueError for what isn't one, or is from the future."""
    if "format" not in document:
        raise ValueError(f"not a state dictionary of this library, which has a 'format'{_looks_like(document)}")
    number = document["format"]
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"state dictionary has format {number!r}; expected a number from 1 to {FORMAT}")
    if number > FORMAT:
        raise ValueError(
            f"state dictionary has format {number}, of a newer optdsl; this version reads up to {FORMAT}: update optdsl"
        )
    return number


def _looks_like(document: Mapping[str, Any]) -> str:
    """Return what a mapping that isn't a state dictionary of ours may be."""
    if "state" in document and "param_groups" in document:
        return "; it looks like one of torch.optim, whose states go by position and which can't be taken over"
    if document and all(hasattr(value, "shape") for value in document.values()):
        return "; it looks like the parameters of a model, which are the caller's to load"
    return ""


def _check_head(store: Store, document: Mapping[str, Any], strict: bool, stacklevel: int) -> None:
    format_of(document)
    same_keys(document, KEYS, "state dictionary")
    if document["rule"] != store.rule.name:
        raise ValueError(f"state dictionary is of the rule {document['rule']!r}, not {store.rule.name!r}")
    if document["digest"] != store.rule.digest:
        problem = f"the text of the rule {store.rule.name} has changed since the state dictionary was made"
        if strict:
            raise ValueError(f"{problem}; strict=False loads it where names, shapes and types fit")
        warnings.warn(problem, stacklevel=stacklevel)


def _read_limits(store: Store, document: Mapping[str, Any]) -> tuple[Limits, int]:
    given = mapping(document["options"], "options")
    same_keys(given, [name for name in LIMITS if name in common_options(store.rule)], "options")
    skipped = document["skipped"]
    if isinstance(skipped, bool) or not isinstance(skipped, int) or skipped < 0:
        raise ValueError(f"skipped = {skipped!r}; expected a count")
    return (
        Limits(
            check_limit("clip_norm", given.get("clip_norm")),
            check_limit("clip_value", given.get("clip_value")),
            check_nonfinite(given.get("nonfinite", "propagate")),
        ),
        skipped,
    )


def _read_group(store: Store, group: ParamGroup, given: Any, what: str) -> tuple[dict[str, Value], bool]:
    own = [name for name in group if name != "params"]
    same_keys(mapping(given, what), ["params", *own], what)
    if not isinstance(given["params"], (list, tuple)) or not all(isinstance(name, str) for name in given["params"]):
        raise ValueError(f"{what}: params is not a list of names")
    expected = [slot.name for slot in store.slots if slot.group is group]
    same_keys(given["params"], expected, f"{what}, parameters")
    if len(given["params"]) != len(expected):
        raise ValueError(f"{what}: a parameter is listed twice")
    settings: dict[str, Value] = {}
    for hyper in store.rule.hypers:
        value, present = given[hyper.name], group.settings[hyper.name]
        if isinstance(value, Mapping):
            if not callable(present):
                raise ValueError(
                    f"{what}: {hyper.name} had the schedule {value.get('schedule')}; set one here before loading"
                )
            settings[hyper.name] = present
        else:
            settings[hyper.name] = check_setting(hyper, value)
    maximize = as_truth("maximize", given["maximize"]) if "maximize" in common_options(store.rule) else False
    return complete(store.rule, settings), maximize


def _read_steps(store: Store, document: Mapping[str, Any]) -> dict[str, int]:
    steps = mapping(document["steps"], "steps")
    same_keys(steps, [slot.name for slot in store.slots], "steps")
    for name, count in steps.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_STEPS:
            raise ValueError(f"steps of {name!r} is {count!r}; expected a count from 0 to 2^53")
    return dict(steps)


def _read_array(what: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any], fresh: bool) -> npt.NDArray[Any]:
    if not isinstance(value, (np.ndarray, np.generic)) and not hasattr(value, "__array__"):
        raise ValueError(f"{what} is {kind(value)}; expected an array")
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{what} has shape {array.shape}; expected {shape}")
    if array.dtype != dtype:
        raise ValueError(f"{what} is {array.dtype}; expected {dtype}: a state's type is never changed")
    return array if fresh else np.array(array, order="C")


def _read_states(store: Store, slot: Slot, given: Any, numbers: Mapping[str, float], fresh: bool) -> Becoming:
    alive = existing(store.rule, numbers)
    what = f"state of {slot.name!r}"
    data, mastered = slot.leaf.data, slot.leaf.mastered
    if MASTER in mapping(given, what) and not mastered and "master_weights" in common_options(store.rule):
        raise ValueError(
            f"{what} has a master copy of a parameter of 16 bits; make the optimizer with master_weights=True"
        )
    same_keys(given, [*alive, *[MASTER] * (mastered and MASTER in given)], what)
    states, scalars = {}, np.zeros_like(slot.leaf.scalars)
    if mastered:  # one made without master copies has lost nothing by it
        master = given.get(MASTER, data.astype(SINGLE))
        states[MASTER] = _read_array(f"{what}: {MASTER!r}", master, data.shape, SINGLE, fresh)
    for state in store.rule.tensor_states:
        if state.name in alive:
            where = f"{what}: {state.name!r}"
            states[state.name] = _read_array(where, given[state.name], data.shape, state_dtype(state, data), fresh)
    for position, state in enumerate(store.rule.scalar_states):
        if state.name in alive:
            where = f"{what}: {state.name!r}"
            scalars[position] = _read_array(where, given[state.name], (), np.dtype(np.float64), fresh)
    return Becoming(slot, store.kernel.variant(numbers), alive, states, scalars)


def restore(
    store: Store, limits: Limits, document: Mapping[str, Any], strict: bool, fresh: bool = False, stacklevel: int = 4
) -> int:
    """Take a state dictionary over, all of it or nothing, and return its count of skipped steps.

    Args:
        store: What takes it over.
        limits: The options of the whole optimizer, which are changed too.
        document: The state dictionary, not yet checked.
        strict: Refuse a rule whose text has changed since; else there is a warning.
        fresh: The arrays belong to nobody else, in C order, and needn't be copied.
        stacklevel: Where the warning points, as `warnings.warn` counts.
    """
    if not isinstance(document, Mapping):
        raise TypeError(f"load_state_dict takes a mapping, got {kind(document)}")
    _check_head(store, document, strict, stacklevel)
    new_limits, skipped = _read_limits(store, document)
    groups = document["param_groups"]
    if not isinstance(groups, (list, tuple)) or len(groups) != len(store.groups):
        count = len(groups) if isinstance(groups, (list, tuple)) else kind(groups)
        raise ValueError(f"param_groups: expected {len(store.groups)}, got {count}")
    settings = {
        id(group): _read_group(store, group, given, f"param_groups[{index}]")
        for index, (group, given) in enumerate(zip(store.groups, groups, strict=True))
    }
    steps = _read_steps(store, document)
    state = mapping(document["state"], "state")
    unknown = [name for name in state if name not in steps]
    missing = [name for name, count in steps.items() if count and name not in state]
    if unknown or missing:
        same_keys(state, [*missing, *(name for name in state if name in steps)], "state")
    becoming = []
    for slot in store.slots:
        if slot.name in state:
            numbers = evaluate(store.rule, settings[id(slot.group)][0], steps[slot.name] + 1)
            becoming.append(_read_states(store, slot, state[slot.name], numbers, fresh))
    store.take_over(becoming, steps, settings)
    limits.clip_norm, limits.clip_value, limits.nonfinite = (
        new_limits.clip_norm, new_limits.clip_value, new_limits.nonfinite,
    )  # fmt: skip
    return skipped
