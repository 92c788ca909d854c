"""Step counts are whole numbers: each is the one before it and one, and the equations see it exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optdsl import bundled
from optdsl.ir import evaluate
from optdsl.ir.arithmetic import Arrays
from optdsl.loading import load, loads
from optdsl.pipeline import rule_of
from optdsl.runtime.optimizer import Optimizer
from optdsl.source import SourceFile

Array = npt.NDArray[Any]

EDGES = [2**8, 2**11, 2**24, 2**31, 2**32, 2**53]
"""Where counters of other libraries end: the whole numbers of bfloat16, float16, float32, int32, uint32 and float64."""

COUNTS = sorted({edge + offset for edge in EDGES for offset in (-2, -1, 0) if edge + offset < 2**53})

SETTINGS: dict[str, dict[str, float]] = {
    "adam": {"beta1": 1 - 2.0**-9, "beta2": 1 - 2.0**-31},
    "adamax": {"beta1": 1 - 2.0**-24},
    "radam": {"beta2": 1 - 2.0**-32},
    "nadam": {"momentum_decay": 1e-9},
    "asgd": {},
    "rmsprop": {},
}
"""Rules whose equations read the step number, with decays that still tell one large number from the next."""

SEEN = """\
rule Seen(x, g)
hyper
  lr = 1 in [0, inf)
state
  last: scalar = 0
  odd = 0
update
  last' = t
  odd' = t - 2*floor(t/2)
  x' = x - lr*g*(t - 2*floor(t/2))
"""
"""A rule that keeps the step number, and whether it is odd, which a number that was rounded isn't any more."""


def at(optimizer: Optimizer, count: int) -> None:
    """Set the counts of all parameters."""
    optimizer.init_state()
    document = optimizer.state_dict()
    optimizer.load_state_dict({**document, "steps": dict.fromkeys(document["steps"], count)})


def interpreted(
    name: str, x: Array, g: Array, states: Mapping[str, Array], count: int
) -> tuple[Array, dict[str, Array]]:
    """Return the parameter and the states after step `count` by the meaning of a rule."""
    path = bundled.path(name)
    assert path is not None
    rule = rule_of(SourceFile(str(path), path.read_text(encoding="utf-8")))
    hypers = evaluate.defaults(rule) | SETTINGS[name]
    flat = {key: float(value) if rule.state(key).scalar else value.reshape(-1) for key, value in states.items()}
    after = evaluate.step(rule, Arrays(x.dtype), hypers, x.reshape(-1), g.reshape(-1), flat, count, x.shape)
    return np.asarray(after.parameter), {key: np.asarray(value) for key, value in after.states.items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_corrections_are_those_of_the_step(name: str, target: str, dtype: np.dtype[np.floating]) -> None:
    """Bias corrections and averages around each edge are the interpreter's, and the count goes on by one."""
    chance = np.random.default_rng(1)
    for count in COUNTS:
        x, y, g = (chance.standard_normal(37).astype(dtype) for _ in range(3))
        ours = {"x": x, "y": y}
        optimizer = load(name, target, exact=True)(ours, **SETTINGS[name])
        optimizer.step({"x": g, "y": g})
        at(optimizer, count)
        for step in (count + 1, count + 2):
            expected = interpreted(name, x, g, optimizer.state["x"], step)
            optimizer.step({"x": g, "y": None if step == count + 2 else g})
            assert optimizer.step_count("x") == step
            np.testing.assert_array_equal(x, expected[0], err_msg=str(step))
            for key, value in expected[1].items():
                np.testing.assert_array_equal(optimizer.state["x"][key].reshape(-1), value.reshape(-1), err_msg=key)
        assert optimizer.step_count("y") == count + 1


@pytest.mark.parametrize("count", COUNTS)
def test_the_equations_see_every_count(count: int, target: str, dtype: np.dtype[np.floating]) -> None:
    """Even where an element type can't hold it, which is where a part of it is used."""
    x = [np.zeros(shape, dtype) for shape in ((5,), (2, 3), ())]
    optimizer = loads(SEEN, target)(x)
    at(optimizer, count)
    moved = 0
    for step in range(count + 1, count + 4):
        if step > 2**53:
            break
        optimizer.step([np.ones(array.shape, dtype) for array in x])
        moved += step % 2
        for name, array in zip("012", x, strict=True):
            assert int(optimizer.state[name]["last"]) == optimizer.step_count(name) == step
            assert (optimizer.state[name]["odd"] == step % 2).all()
            assert (array == -moved).all()


@pytest.mark.parametrize("count", COUNTS)
def test_a_count_is_kept_to_the_last_digit(count: int, target: str, tmp_path: Path) -> None:
    """In memory, in a file, in a copy, and from one target to another."""
    gradients: dict[str, Array] = {"a": np.ones(3), "b": np.ones((2, 2), np.float32)}
    one = load("adam", target)({name: value.copy() for name, value in gradients.items()})
    at(one, count)
    one.step({**gradients, "b": None})
    assert one.state_dict()["steps"] == {"a": count + 1, "b": count}
    one.save(tmp_path / "one.safetensors")
    other = load("adam", "numpy")({name: value.copy() for name, value in gradients.items()})
    other.load(tmp_path / "one.safetensors")
    assert (other.step_count("a"), other.step_count("b")) == (count + 1, count)


def test_schedules_are_asked_for_whole_numbers(target: str) -> None:
    asked: list[int] = []

    def lr(t: int) -> float:
        asked.append(t)
        return 0.5

    x = np.ones(3)
    optimizer = load("adam", target)([x], lr=lr)
    at(optimizer, 2**32)
    asked.clear()
    optimizer.step([np.ones(3)])
    assert asked
    assert all(type(t) is int and t in (2**32 + 1, 2**32 + 2) for t in asked)
    assert 2**32 + 1 in asked


@pytest.mark.parametrize("count", [-1, 2**53 + 1, 2**63, 2**64, 1.0, True, "1", None, np.nan])
def test_counts_that_are_none_are_refused(count: Any, target: str) -> None:
    """Past 2^53 the equations couldn't tell one step from the next."""
    optimizer = load("adam", target)({"x": np.ones(2)})
    optimizer.step({"x": np.ones(2)})
    document = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"steps of 'x' is .*; expected a count from 0 to 2\^53"):
        optimizer.load_state_dict({**document, "steps": {"x": count}})
    assert optimizer.step_count("x") == 1
