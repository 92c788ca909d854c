"""Ways to plant a bug in the package, for `planted.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import optdsl
from optdsl import bundled
from optdsl.runtime import statedict
from optdsl.runtime.optimizer import Optimizer

Plant = Callable[[pytest.MonkeyPatch], None]
Around = Callable[[Optimizer, Callable[[Any], Any], Any], Any]

N = "numpy"


def around_step(around: Around) -> Plant:
    """Plant a fault around every step; it is given the optimizer, what steps it, and the gradients."""
    original = Optimizer.step

    def step(self: Optimizer, grads: Any = None) -> Any:
        return around(self, lambda given: original(self, given), grads)

    return lambda patch: patch.setattr(Optimizer, "step", step)


def counted(change: Callable[[int, int], int], before: bool = False) -> Plant:
    """Plant a fault in counting: after each step, or for its time alone, counts are changed by place and value."""

    def around(opt: Optimizer, step: Callable[[Any], Any], grads: Any) -> Any:
        leaves = [slot.leaf for slot in opt._store.slots]
        kept = [leaf.steps for leaf in leaves]
        if before:
            for place, leaf in enumerate(leaves):
                leaf.steps = change(place, leaf.steps)
        result = step(grads)
        for place, leaf in enumerate(leaves):
            leaf.steps = kept[place] + 1 if before else change(place, leaf.steps)
        return result

    return around_step(around)


def replaced(module: Any, name: str, by: Any) -> Plant:
    return lambda patch: patch.setattr(module, name, by)


def written(rule: str, *changes: tuple[str, str]) -> Plant:
    """Plant a bundled rule whose text is changed."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        path = bundled.path(rule)
        assert path is not None
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"{rule} has no {old!r} any more"
            text = text.replace(old, new)
        original, wrong = optdsl.load, optdsl.loads(text, target=N)
        patch.setattr(optdsl, "load", lambda name, target: wrong if name == rule else original(name, target=target))

    return plant


def naive_factor(squares: float, gradients: Any, clip_norm: float, clip_value: float) -> float:
    with np.errstate(all="ignore"):
        norm = np.sqrt(np.float64(squares))
        return float(clip_norm / norm) if not norm < clip_norm else 1.0


def cast(what: str, value: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.broadcast_to(np.asarray(value, dtype), shape).copy()


def by_position(self: Optimizer, document: Any, **_: Any) -> None:
    names = dict(zip(document["steps"], self._store_names(), strict=True))  # type: ignore[attr-defined]
    parts = {key: {names[name]: value for name, value in document[key].items()} for key in ("steps", "state")}
    group = {**document["param_groups"][0], "params": list(names.values())}
    Optimizer._original_load(self, {**document, **parts, "param_groups": [group]})  # type: ignore[attr-defined]


def plant_positions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Optimizer, "_store_names", lambda self: [s.name for s in self._store.slots], raising=False)
    patch.setattr(Optimizer, "_original_load", Optimizer.load_state_dict, raising=False)
    patch.setattr(Optimizer, "load_state_dict", by_position)


def uncounted(*arguments: Any) -> Any:
    document = statedict.describe(*arguments)
    return {**document, "steps": dict.fromkeys(document["steps"], 0)}


def negated_in_place(opt: Optimizer, step: Callable[[Any], Any], grads: Any) -> Any:
    for gradient in grads.values():
        np.negative(gradient, out=gradient)
    return step(grads)


def decayed_in_place(opt: Optimizer, step: Callable[[Any], Any], grads: Any) -> Any:
    for gradient, slot in zip(grads, opt._store.slots, strict=True):
        gradient += 0.5 * slot.leaf.data
    return step(grads)


def stopped_by_an_empty_one(opt: Optimizer, step: Callable[[Any], Any], grads: Any) -> Any:
    return step([None] * len(grads) if isinstance(grads, list) and grads[-1].size == 0 else grads)


def first_axis_alone(opt: Optimizer, step: Callable[[Any], Any], grads: Any) -> Any:
    kept = [slot.leaf.data.copy() for slot in opt._store.slots]
    result = step(grads)
    for slot, old in zip(opt._store.slots, kept, strict=True):
        slot.leaf.data.reshape(-1)[slot.leaf.data.shape[0] :] = old.reshape(-1)[old.shape[0] :]
    return result


def flushed(opt: Optimizer, step: Callable[[Any], Any], grads: Any) -> Any:
    result = step(grads)
    for slot in opt._store.slots:
        for state in slot.leaf.states.values():
            state[np.abs(state) < np.finfo(state.dtype).tiny] = 0
    return result


def made(change: Callable[[dict[str, Any]], None]) -> Plant:
    """Plant a fault in making optimizers: their options are changed."""
    original = Optimizer.__init__

    def init(self: Optimizer, /, params: Any = None, **options: Any) -> None:
        change(options)
        original(self, params, **options)

    return lambda patch: patch.setattr(Optimizer, "__init__", init)


def compounding(options: dict[str, Any]) -> None:
    schedule, held = options.get("lr"), [1.0]
    if callable(schedule):

        def rate(t: int) -> float:
            held[0] *= schedule(t)
            return held[0]

        options["lr"] = rate


def in_row(data: Any) -> tuple[Any, bool]:
    return np.lib.stride_tricks.as_strided(data, (data.size,), (data.itemsize,)), False


def nothing(*arguments: Any, **options: Any) -> None:
    return None
