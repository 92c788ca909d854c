"""Weight decay and an average of the parameter as options of every rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optdsl
from optdsl import bundled, pipeline
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import defaults, initial_states, step
from optdsl.ir.kernel import run
from optdsl.ir.nodes import Rule
from optdsl.passes.options import with_average, with_weight_decay
from optdsl.passes.specialise import followers
from optdsl.source import SourceFile

SIGN = "rule Sign(w, d)\nhyper\n  lr = 0.5\nstate\n  m = 0\nupdate\n  m' = m + d\n  w' = w - lr*sign(m')\n"


def rule_of(text: str) -> Rule:
    return pipeline.rule_of(SourceFile("rule.opt", text))


def after(rule: Rule, x: float, g: float, **given: float) -> tuple[float, float]:
    """Return the parameter and the state `m` after one step."""
    hypers = {**defaults(rule), **given}
    outcome = step(rule, Floats(), hypers, [x], [g], initial_states(rule, Floats(), hypers, [x]), 1)
    return outcome.parameter[0], outcome.states["m"][0]


def test_the_penalty_joins_the_gradient_wherever_it_is_read() -> None:
    decayed = with_weight_decay(rule_of(SIGN))
    assert after(decayed, 2.0, -1.0) == (2.5, -1.0)
    assert after(decayed, 2.0, -1.0, weight_decay=0.75) == (1.5, 0.5)


def test_no_decay_leaves_an_infinite_parameter_out_of_the_gradient() -> None:
    assert after(with_weight_decay(rule_of(SIGN)), float("inf"), 1.0) == (float("inf"), 1.0)


@pytest.mark.parametrize(
    "line", ["hyper\n  weight_decay = 0", "hyper\n  a = 1\n  alias weight_decay = (a, a)", "state\n  weight_decay = 0"]
)
def test_a_rule_with_something_of_that_name_means_it_otherwise(line: str) -> None:
    equation = "  weight_decay' = weight_decay\n" if line.startswith("state") else ""
    rule = rule_of(f"rule R(x, g)\n{line}\nupdate\n{equation}  x' = x - g\n")
    assert with_weight_decay(rule) is rule


def test_every_compiled_rule_takes_it(target: str) -> None:
    optimizer = optdsl.loads(SIGN, target=target)
    x = np.array([2.0, -3.0, 0.0])
    opt = optimizer(x, weight_decay=0.75)
    opt.step(np.array([-1.0, 1.0, 0.0]))
    assert x.tolist() == [1.5, -2.5, 0.0]
    assert opt.state["0"]["m"].tolist() == [0.5, -1.25, 0.0]
    assert "weight_decay" in str(optimizer.__signature__)  # type: ignore[attr-defined]
    assert [text.split("=")[0].strip() for text in optimizer.rule.equations] == ["m'", "w'"]
    with pytest.raises(ValueError, match=r"weight_decay = -1 is outside \[0, inf\)"):
        optimizer(np.zeros(1), weight_decay=-1)


def test_a_group_has_its_own(target: str) -> None:
    optimizer = optdsl.loads(SIGN, target=target)
    a, b = np.array([2.0]), np.array([2.0])
    opt = optimizer([{"params": a, "weight_decay": 0.75}, {"params": b}])
    opt.step([np.array([-1.0]), np.array([-1.0])])
    assert (a[0], b[0]) == (1.5, 2.5)


REDUCED = """
rule Trust(x, g)
hyper
  lr = 0.1
state
  m = 0 when lr != 0
update
  m' = 0.5*m + g
  u  = if lr == 0 then g else m'
  x' = x - lr*norm(x)/(1 + norm(u))*u
"""
SIZES = [(), (0,), (7,), (5000,), (300, 500)]


@pytest.mark.parametrize(
    "text", [SIGN, REDUCED, "nadam", "rprop", "sgd"], ids=["sign", "trust", "nadam", "rprop", "sgd"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_average_follows_and_changes_nothing_else(text: str, dtype: type, target: str) -> None:
    optimizer = optdsl.loads(text, target=target) if "\n" in text else optdsl.load(text, target=target)
    chance = np.random.default_rng(5)
    followed: list[Any] = [np.asarray(chance.standard_normal(size).astype(dtype)) for size in SIZES]
    alone = [each.copy() for each in followed]
    averages = [each.copy() for each in followed]
    with_it, without = optimizer(followed, ema=0.9), optimizer(alone)
    keep, take = dtype(0.9), dtype(1 - 0.9)
    for _ in range(4):
        gradients: list[Any] = [np.asarray(chance.standard_normal(size).astype(dtype)) for size in SIZES]
        with_it.step(gradients)
        without.step(gradients)
        averages = [np.asarray(keep * average + take * x) for average, x in zip(averages, alone, strict=True)]
    for index, (x, y, average) in enumerate(zip(followed, alone, averages, strict=True)):
        assert x.tobytes() == y.tobytes()
        assert with_it.state[str(index)]["average"].tobytes() == average.tobytes()
        assert "average" not in without.state[str(index)]


def test_the_average_needs_no_variants() -> None:
    for name in ("adam", "sgd", "adagrad"):
        plain = pipeline.rule_of(SourceFile("rule.opt", (bundled.path(name) or Path()).read_text("utf-8")))
        averaged = with_average(plain)
        assert [state.name for state in followers(averaged)] == ["average"]
        assert len(pipeline.kernels(averaged).kernels) == len(pipeline.kernels(plain).kernels)


def test_the_meaning_of_a_kernel_has_the_average() -> None:
    rule = with_average(rule_of(SIGN))
    (kernel,) = pipeline.kernels(rule).kernels
    for ema in (0.0, 0.75):
        hypers = {**defaults(rule), "ema": ema}
        states = initial_states(rule, Floats(), hypers, [2.0])
        meant = step(rule, Floats(), hypers, [2.0], [-1.0], states, 1)
        assert run(kernel, Floats(), hypers, [2.0], [-1.0], states, 1) == (meant.parameter, meant.states)
        assert meant.states.get("average") == (None if ema == 0 else [0.75 * 2.0 + 0.25 * 2.5])


@pytest.mark.parametrize("line", ["hyper\n  average = 0.5", "state\n  average = 0", "update\n  average = 2*g"])
def test_a_rule_that_means_something_else_by_it_has_no_average(line: str) -> None:
    equation = "  average' = x'\n" if line.startswith("state") else ""
    section = "" if line.startswith("update") else "update\n"
    rule = rule_of(f"rule R(x, g)\n{line}\n{section}{equation}  x' = x - g\n")
    assert with_average(rule) is rule


FOLLOWERS = {
    "average": ("a = x when k != 0", "a' = 0.5*a + 0.5*x'", True),
    "of-steps": ("a = x when k != 0", "a' = a + (x' - a)/t", True),
    "always": ("a = x", "a' = 0.5*a + 0.5*x'", False),
    "of-the-old": ("a = x when k != 0", "a' = 0.5*a + 0.5*x", False),
    "of-the-gradient": ("a = x when k != 0", "a' = 0.5*a + g", False),
    "scalar": ("a: scalar = 0 when k != 0", "a' = a + 1", False),
    "typed": ("a: f32 = x when k != 0", "a' = 0.5*a + 0.5*x'", False),
    "read": ("a = x when k != 0", "a' = 0.5*a + 0.5*x'\n  b' = if k != 0 then a else b", False),
    "shared": ("a = x when k != 0\n  c = 0 when k != 0", "a' = 0.5*a + 0.5*x'\n  c' = c + g", False),
}


@pytest.mark.parametrize("name", FOLLOWERS)
def test_which_states_follow(name: str) -> None:
    state, equation, follows = FOLLOWERS[name]
    rule = rule_of(
        f"rule R(x, g)\nhyper\n  k = 1\nstate\n  b = 0\n  {state}\nupdate\n  {equation}\n"
        + ("" if "b' =" in equation else "  b' = b + g\n")
        + "  x' = x - b'\n"
    )
    assert [found.name for found in followers(rule)] == (["a"] if follows else [])
