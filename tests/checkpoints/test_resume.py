"""Training that is interrupted, saved and gone on with leaves the bits of training that never stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.schedules import Cosine
from tests.targets.support import (
    Array,
    Float,
    Options,
    assert_same_path,
    option_sets,
    rounds_apart,
    rule_named,
    snapshot,
)  # fmt: skip

PAUSE, END = 3, 5
"""Steps before the interruption, and in all."""

DTYPES: tuple[Float, ...] = (np.dtype(np.float32), np.dtype(np.float64))


def parameters(dtype: Float) -> dict[str, Array]:
    """Return parameters of every layout, the same at each call."""
    chance = np.random.default_rng(3)
    strided = np.zeros(14, dtype)[::2]
    strided[...] = chance.standard_normal(7)
    return {
        "matrix": chance.standard_normal((3, 5)).astype(dtype),
        "fortran": np.asfortranarray(chance.standard_normal((4, 3)).astype(dtype)),
        "number": np.asarray(chance.standard_normal(()), dtype),
        "strided": strided,
        "empty": np.zeros((0, 2), dtype),
        "seldom": chance.standard_normal(6).astype(dtype),
        "never": np.ones(2, dtype),
    }


def made(kind: type[Optimizer], params: Mapping[str, Array], options: Options) -> Optimizer:
    """Return an optimizer of two groups, one of them with a schedule where the rule has a rate."""
    rates: Options = {hyper.name: Cosine(0.05, 20) for hyper in kind.rule.hypers if hyper.name in {"lr", "eta"}}
    names = list(params)
    if any(hyper.name == "ema" for hyper in kind.rule.hypers):
        options = {"ema": 0.25, **options}
    groups = [{"params": {name: params[name] for name in part}} for part in (names[:3], names[3:])]
    return kind([{**groups[0], **rates}, groups[1]], **options)


def advance(opt: Optimizer, params: Mapping[str, Array], first: int, last: int) -> None:
    """Make the steps from one to another; `never` makes none, and `seldom` every other one."""
    for step in range(first, last):
        chance = np.random.default_rng(50 + step)
        given: dict[str, Any] = {
            name: np.asarray(chance.standard_normal(value.shape)).astype(value.dtype) for name, value in params.items()
        }
        given["never"] = None
        if step % 2:
            given["seldom"] = None
        opt.step(given)


def taken(opt: Optimizer, params: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies of parameters, states and step counts."""
    moved = {name: value for name, value in params.items() if name != "never"}
    assert "never" not in opt.state
    counts = {f"{name}: steps": np.array(float(opt.step_count(name))) for name in params}
    return {**snapshot(opt, moved), "never": params["never"].copy(), **counts}


def interrupted(
    first: type[Optimizer], second: type[Optimizer], options: Options, dtype: Float, path: Path
) -> dict[str, Array]:
    """Train with one class, save, and go on with the other over parameters of the same values and layout."""
    params = parameters(dtype)
    opt = made(first, params, options)
    advance(opt, params, 0, PAUSE)
    if first.rule.views:
        opt.eval(first.rule.views[0].name).train()
    opt.save(path)
    resumed = parameters(dtype)
    for name, value in resumed.items():
        value[...] = params[name]
    other = made(second, resumed, options)
    other.load(path)
    twice = path.with_name("twice")
    other.save(twice)
    assert twice.read_bytes() == path.read_bytes()
    advance(other, resumed, PAUSE, END)
    return taken(other, resumed)


def uninterrupted(kind: type[Optimizer], options: Options, dtype: Float) -> dict[str, Array]:
    params = parameters(dtype)
    opt = made(kind, params, options)
    advance(opt, params, 0, END)
    return taken(opt, params)


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save thousands of times without waiting for the disk."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def targets(both_targets: None) -> Callable[[str], dict[str, type[Optimizer]]]:
    """Return what gives the classes of a rule by target, which must be two."""
    return lambda rule: {target: load(rule, target) for target in ("numpy", "c")}


def test_every_rule_goes_on_from_target_to_target(
    rule: str, targets: Callable[[str], dict[str, type[Optimizer]]], tmp_path: Path, unsynced: None
) -> None:
    """Both ways, with every state there is; a rule whose targets round apart goes on on the target it began on."""
    kinds = targets(rule)
    *_, switched, fast = option_sets(rule_named(rule))
    apart = rounds_apart(rule_named(rule))
    for dtype, options in product(DTYPES, (switched, fast)):
        whole = {target: uninterrupted(kind, options, dtype) for target, kind in kinds.items()}
        for first, second in product(kinds, kinds):
            if first != second and apart:
                continue
            path = tmp_path / f"{first}-{second}-{dtype}"
            resumed = interrupted(kinds[first], kinds[second], options, dtype, path)
            assert_same_path([resumed], [whole[second]])


def test_every_rule_goes_on_by_itself(rule: str, dtype: Float, tmp_path: Path, unsynced: None) -> None:
    kind = load(rule, "numpy")
    *_, options = option_sets(rule_named(rule))
    assert_same_path([interrupted(kind, kind, options, dtype, tmp_path / "a")], [uninterrupted(kind, options, dtype)])
