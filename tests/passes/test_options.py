"""Weight decay as an option of every rule."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl
from optdsl import pipeline
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import defaults, initial_states, step
from optdsl.ir.nodes import Rule
from optdsl.passes.options import with_weight_decay
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
