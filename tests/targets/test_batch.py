"""All parameters in one go: taken only where every gradient is plain, and with the bits of the way one by one."""

from __future__ import annotations

import gc
import sysconfig
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.runtime import cache, gather
from optdsl.runtime.optimizer import Optimizer

from .support import Array

SHAPES: dict[str, tuple[int, ...]] = {"one": (1,), "none": (0,), "number": (), "matrix": (3, 41), "large": (70_001,)}


@pytest.fixture
def gathering(both_targets: None) -> None:
    """Skip where gradients can't be gathered."""
    if gather.function() is None:
        pytest.skip("Python's headers aren't here, so gradients aren't gathered")


def made(
    name: str = "adam", seed: int = 0, dtypes: Sequence[str] = ("f4", "f8"), **options: Any
) -> tuple[Optimizer, list[Array]]:
    """Return an optimizer over arrays of two types in two groups, and the arrays."""
    chance = np.random.default_rng(seed)
    arrays = [np.asarray(chance.normal(size=shape), dtype) for dtype in dtypes for shape in SHAPES.values()]
    groups = [{"params": arrays[:3]}, {"params": arrays[3:], "lr": 0.25}]
    return load(name, "c")(groups, lr=0.5, **options), arrays


def likes(arrays: Sequence[Array], seed: int) -> list[Array]:
    """Return gradients for arrays."""
    chance = np.random.default_rng(seed)
    return [np.asarray(chance.normal(size=array.shape), array.dtype) for array in arrays]


def ready() -> tuple[Optimizer, Any, list[Array], list[Array]]:
    """Return an optimizer that has made a step, its batch, its parameters and gradients that it takes."""
    optimizer, arrays = made()
    gradients = likes(arrays, 1)
    optimizer.step(gradients)
    batch = optimizer._store.batch()
    assert batch is not None
    assert batch.take(gradients)
    batch.release()
    return optimizer, batch, arrays, gradients


def foreign(gradient: Array) -> Array:
    """Return a gradient in the other byte order."""
    return gradient.astype(gradient.dtype.newbyteorder())


def misaligned(gradient: Array) -> Array:
    """Return a gradient at an odd address."""
    raw = np.zeros(gradient.nbytes + 1, np.uint8)[1:]
    result = raw.view(gradient.dtype).reshape(gradient.shape)
    result[...] = gradient
    return result


class Labelled(np.ndarray[Any, np.dtype[Any]]):
    """A subclass, which may mean anything by its elements."""


CHANGES: dict[str, Callable[[Array], Any]] = {
    "list": lambda g: g.tolist(),
    "another shape": lambda g: g.reshape(g.shape[::-1]),
    "one axis less": lambda g: g.reshape(-1),
    "another type": lambda g: g.astype("f8"),
    "whole numbers": lambda g: g.astype("i4"),
    "strided": lambda g: np.repeat(g, 2, axis=1)[:, ::2],
    "column by column": np.asfortranarray,
    "backwards": lambda g: g[::-1],
    "misaligned": misaligned,
    "another byte order": foreign,
    "a subclass": lambda g: g.view(Labelled),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_not_plain_is_not_taken(change: Callable[[Array], Any], gathering: None) -> None:
    _, batch, _, gradients = ready()
    index = list(SHAPES).index("matrix")
    assert not batch.take([*gradients[:index], change(gradients[index]), *gradients[index + 1 :]])
    assert batch.take(gradients)


def test_memory_of_parameters_and_states_is_not_taken(gathering: None) -> None:
    optimizer, batch, arrays, gradients = ready()
    index = list(SHAPES).index("large")
    whole = np.zeros(gradients[index].size + 9, np.float32)
    for wrong in (arrays[index], optimizer.state[str(index)]["m"]):
        assert not batch.take([*gradients[:index], wrong, *gradients[index + 1 :]])
    assert not batch.take([arrays[3][:1, 0].astype("f4"), *gradients[1:4], arrays[index][:], *gradients[index + 1 :]])
    beside = whole[9:]  # begins in memory of its own
    assert batch.take([*gradients[:index], beside, *gradients[index + 1 :]])
    arrays[index].flags.writeable = False
    assert not batch.take(gradients)
    assert not batch.take(gradients[:-1])


def test_gradients_are_held_during_the_step_only(gathering: None) -> None:
    optimizer, arrays = made()
    for seed in range(3):
        gradients = likes(arrays, seed)
        kept = [weakref.ref(gradient) for gradient in gradients]
        optimizer.step(gradients)
        optimizer.zero_grad()
        del gradients
        gc.collect()
        assert all(ref() is None for ref in kept)


@pytest.mark.parametrize("odd", [0, 2])
def test_gradients_of_a_step_one_by_one_are_let_go_by_the_next_together(odd: int, gathering: None) -> None:
    """The first step goes one by one, and so does one with a gradient that isn't plain."""
    optimizer, arrays = made()
    for seed in range(odd):
        optimizer.step(likes(arrays, seed))
    gradients = [gradient.view(Labelled) for gradient in likes(arrays, odd)] if odd else likes(arrays, odd)
    kept = [weakref.ref(gradient) for gradient in gradients]
    optimizer.step(gradients)
    del gradients
    optimizer.step(likes(arrays, odd + 1))
    gc.collect()
    assert all(ref() is None for ref in kept)


Course = Callable[[Optimizer, list[Array], int], None]


def plain(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    optimizer.step(likes(arrays, step))


def same(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    """Step with gradients in the same arrays, whose values change."""
    if not hasattr(same, "gradients") or step == 0:
        same.gradients = likes(arrays, 0)  # type: ignore[attr-defined]
    for gradient in same.gradients:  # type: ignore[attr-defined]
        gradient *= 0.75
    optimizer.step(same.gradients)  # type: ignore[attr-defined]


def missing(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    gradients: list[Any] = likes(arrays, step)
    if step in (0, 3, 4):
        gradients[step] = None
    optimizer.step(gradients)


def frozen(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    """Step without the gradients of all of a group and some of the other."""
    gradients: list[Any] = likes(arrays, step)
    if step >= 2:
        gradients[:3] = [None] * 3
        gradients[7] = None
    optimizer.step(gradients)


def empty(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    optimizer.step([None] * len(arrays) if step % 2 else likes(arrays, step))


def changing(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    optimizer.param_groups[0]["lr"] = 0.5 / (step + 1)
    if step == 3:
        optimizer.param_groups[1]["amsgrad"] = True
    optimizer.step(likes(arrays, step))


def own(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    """Step with a parameter for its own gradient, at times."""
    gradients = likes(arrays, step)
    if step % 2:
        gradients[4] = arrays[4]
    optimizer.step(gradients)


def reloaded(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    if step == 3:
        optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step(likes(arrays, step))


def infinite(optimizer: Optimizer, arrays: list[Array], step: int) -> None:
    gradients = likes(arrays, step)
    if step == 2:
        gradients[8][0, 1] = np.inf
    optimizer.step(gradients)


COURSES: dict[str, tuple[Course, dict[str, Any]]] = {
    "plain": (plain, {}),
    "same arrays": (same, {}),
    "missing": (missing, {}),
    "missing and scheduled": (missing, {"beta1": lambda t: 0.9 if t < 4 else 0.5}),
    "frozen": (frozen, {"weight_decay": lambda t: 0.1 * t}),
    "none at all": (empty, {"weight_decay": lambda t: 1 / t}),
    "frozen and clipped": (frozen, {"clip_norm": 0.25, "nonfinite": "skip"}),
    "changing": (changing, {}),
    "scheduled": (plain, {"weight_decay": lambda t: 0.1 * t, "amsgrad": lambda t: t >= 3}),
    "own": (own, {}),
    "reloaded": (reloaded, {}),
    "clipped by norm": (plain, {"clip_norm": 0.5}),
    "clipped by value": (plain, {"clip_value": 0.5}),
    "clipped by both": (missing, {"clip_norm": 3.0, "clip_value": 0.5}),
    "tiny norm": (plain, {"clip_norm": 1e-120}),
    "maximised": (plain, {"maximize": True}),
    "averaged": (plain, {"ema": 0.5}),
    "skipping": (infinite, {"nonfinite": "skip"}),
}


@pytest.mark.parametrize(("course", "options"), COURSES.values(), ids=COURSES)
def test_the_bits_are_those_of_one_by_one(
    course: Course, options: dict[str, Any], gathering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, batched = [], []
    for function in (gather.function(), None):
        monkeypatch.setattr(gather, "function", lambda function=function: function)
        optimizer, arrays = made(**options)
        for step in range(6):
            course(optimizer, arrays, step)
        batched.append(optimizer._store.batch() is not None)
        counts = [optimizer.step_count(name) for name in optimizer.state]
        states = [array for states in optimizer.state.values() for array in states.values()]
        paths.append((counts, optimizer.skipped, [array.tobytes() for array in (*arrays, *states)]))
    assert batched == [True, False]
    assert paths[0] == paths[1]


def test_the_gradient_of_a_step_that_is_refused_is_let_go(gathering: None) -> None:
    optimizer, arrays = made(nonfinite="raise")
    optimizer.step(likes(arrays, 0))
    before = [array.tobytes() for array in arrays]
    gradients = likes(arrays, 1)
    gradients[4][0] = np.nan
    kept = weakref.ref(gradients[4])
    with pytest.raises(FloatingPointError, match="gradient of '4' has an infinity or NaN"):
        optimizer.step(gradients)
    assert [array.tobytes() for array in arrays] == before
    assert optimizer.step_count("4") == 1
    del gradients
    gc.collect()
    assert kept() is None


def test_a_schedule_is_asked_once_a_step(gathering: None) -> None:
    asked: list[int] = []

    def rate(step: int) -> float:
        asked.append(step)
        return 0.5

    x = np.ones(3)
    optimizer = load("adam", "c")([x], lr=rate)
    for _ in range(4):
        optimizer.step([np.ones(3)])
    assert asked == [1, 2, 3, 4]


def test_without_headers_steps_go_one_by_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gathering: None) -> None:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "nowhere"))
    alone = gather.function.__wrapped__
    assert alone() is None
    monkeypatch.setattr(gather, "function", alone)
    x = np.ones(3)
    optimizer = load("flux/descent", "c")([x], eta=1.0)
    for _ in range(3):
        optimizer.step([np.ones(3)])
    assert x.tolist() == [-2.0] * 3


def test_a_library_made_for_another_layout_is_not_used(monkeypatch: pytest.MonkeyPatch, gathering: None) -> None:
    gathered = gather.function()
    assert gathered is not None
    assert gather._reads_arrays(gathered)
    for wrong in (-1, 0, 1, 2):
        assert not gather._reads_arrays(lambda *_, wrong=wrong: wrong)
