"""The fast stepper computes what the interpreter computes, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.checks import _trial
from optdsl.checks._stepper import Stepper
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.nodes import Ref, Role, Rule
from optdsl.pipeline import analyse
from optdsl.source import SourceFile

from .test_run import BUNDLED, RULES

STEPS = 6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: str(path.relative_to(RULES)))
def test_it_steps_as_the_interpreter(path: Path, dtype: type) -> None:
    rule = analyse(SourceFile(str(path), path.read_text("utf-8"))).rule
    assert rule is not None
    arithmetic = Arrays(dtype)
    x: Any = np.array([1.0, 0.0, -0.5], dtype)
    gradients: list[Any] = [np.array([1.0, 0.1, -0.3], dtype) * (step + 1) for step in range(STEPS)]
    for setting in _trial.settings(rule):
        hypers = _trial.values(rule, setting)
        stepper = Stepper(rule, hypers, arithmetic, x)
        for step in _trial.steps(rule, hypers, x, gradients, arithmetic):
            stepper.step(step.g)
            np.testing.assert_array_equal(stepper.x, step.outcome.parameter)
            assert stepper.states.keys() == step.outcome.states.keys()
            for name, value in step.outcome.states.items():
                np.testing.assert_array_equal(stepper.states[name], value)


CHOICES = """rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
  on = true
state
  m: f16 = 0.1
  n = norm(x) when on
update
  m' = (if g > 0 then m^3 else abs(g)^1.5) + (if t == 2 then 1 else sum(g)/size(x))
  k  = if on then n else 0
  n' = min(k, g) + 1
  x' = x - lr*m'*(if t > 1 and not (g == 0) then k else 1)
"""


def test_choices_reductions_and_storage(load: Callable[[str], Rule]) -> None:
    rule, arithmetic = load(CHOICES), Arrays(np.float32)
    x: Any = np.array([1.0, -2.0], np.float32)
    gradients = [np.array([1.0, -1.0], np.float32), np.array([0.0, 2.0], np.float32)] * 2
    for on in (True, False):
        stepper = Stepper(rule, hypers := _trial.values(rule, {"on": on}), arithmetic, x)
        for step in _trial.steps(rule, hypers, x, gradients, arithmetic):
            named = stepper.named(stepper.step(step.g))
            np.testing.assert_array_equal(stepper.x, step.outcome.parameter)
            np.testing.assert_array_equal(stepper.states["m"], step.outcome.states["m"])
            (k,) = (equation.target for equation in rule.equations if equation.target.name == "k")
            np.testing.assert_array_equal(named[k], step.outcome.values[k])


def test_only_what_is_wanted_is_computed(load: Callable[[str], Rule]) -> None:
    rule = load(CHOICES.replace("m'*", "(if on then n' else 1)*"))
    (n,) = (e.target for e in rule.equations if e.target.role is Role.NEW and e.target.name == "n")
    stepper = Stepper(rule, _trial.values(rule, {}), Arrays(np.float32), np.ones(1, np.float32), [n])
    operand = stepper.compiled(Ref(n))
    values = stepper.step(np.ones(1, np.float32))
    assert operand(values)[0] == 2
    assert stepper.x[0] == 1
    assert stepper.states["m"][0] == np.float16(0.1)
