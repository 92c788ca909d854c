"""`ascends`: steps up the gradient are found, on purpose or not."""

from __future__ import annotations

import pytest

from .conftest import Find

ADADELTA = """rule Adadelta(x, g)
hyper
  lr           = 1      in [0, inf)
  rho          = 0.9    in [0, 1]
  eps          = 1e-6   in [0, inf)
  weight_decay = 0.1    in [0, inf)
state
  v = 0
  a = 0
update
  v' = ema(v, g^2, rho)
  d  = sqrt(a + eps)/sqrt(v' + eps)*g
  a' = ema(a, d^2, rho)
  x' = x + lr*d - lr*weight_decay*x
"""


def rule(step: str, hyper: str = "", state: str = "", equations: str = "") -> str:
    states = f"state\n{state}" if state else ""
    return f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n{hyper}{states}update\n{equations}  x' = {step}\n"


def test_adadelta_with_the_wrong_sign(find: Find) -> None:
    (problem,) = find(ADADELTA, "ascends")
    assert problem.label == "at t = 1, g = 1: x goes from 0 to 0.00316"
    assert problem.help == "turn the sign of the step, so that `x` moves against `g`"
    assert find(ADADELTA.replace("x + lr*d", "x - lr*d"), "ascends") == []


def test_a_proof_for_all_hyperparameters_is_told(find: Find) -> None:
    (problem,) = find(rule("x + lr*g"), "ascends")
    assert problem.message == "the rule climbs: `x` moves along the gradient, whatever the hyperparameters"
    (problem,) = find(rule("x - (lr - 1)*g"), "ascends")
    assert problem.message == "the rule climbs: `x` moves along the gradient"


def test_the_authors_names_are_used(find: Find) -> None:
    text = "rule R(w, grad)\nhyper\n  lr = 0.5\nupdate\n  w' = w + lr*grad\n"
    (problem,) = find(text, "ascends")
    assert problem.label == "at t = 1, grad = 1: w goes from 0 to 0.5"


@pytest.mark.parametrize(
    "text",
    [
        rule("x + lr*m'", state="  m = 0\n", equations="  m' = ema(m, g, 0.9)\n"),
        rule("x + v'", state="  v = 0\n", equations="  v' = 0.9*v + lr*g\n"),
        rule("x + lr*sign(g)"),
        rule("x + lr*m", state="  m = 0\n", equations="  m' = g\n"),
        rule("x + lr*norm(x)*g"),
        rule("x - lr*g", hyper="").replace("lr = 0.1 in [0, inf)", "lr = -0.1"),
    ],
    ids=["momentum", "velocity", "sign", "one step late", "scaled by the parameter", "negative rate"],
)
def test_rules_that_climb(text: str, find: Find) -> None:
    assert len(find(text, "ascends")) == 1


@pytest.mark.parametrize(
    "text",
    [
        rule("x + v'", state="  v = 0\n", equations="  v' = 0.9*v - lr*g\n"),
        rule("x - lr*g + 0.5*x"),
        rule("x"),
        rule("x + 0*g"),
        rule("x + lr*x"),
        rule("x - lr*g + 0.3"),
    ],
)
def test_rules_that_do_not_climb(text: str, find: Find) -> None:
    assert find(text, "ascends") == []


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("x - lr*g^2", "at t = 1, g = -1: x goes from 0 to -0.1"),
        ("x + lr*abs(g)", "at t = 1, g = 1: x goes from 0 to 0.1"),
    ],
)
def test_a_step_that_has_lost_the_sign_climbs_on_one_side(value: str, label: str, find: Find) -> None:
    (problem,) = find(rule(value), "ascends")
    assert problem.label == label
    side = "below" if "g = -1" in label else "above"
    assert problem.message == f"the rule climbs: `x` moves along the gradient where it is {side} 0"


def test_rounding_alone_is_no_ascent(find: Find) -> None:
    # Over the reals this is x - 1e-30*g; in floats (1/49)*49 - 1 is -1.1e-16, and the step turns around.
    text = rule("x - g*(1e-30 - ((1/49)*49 - 1)*-1*1e3)")
    assert find(text, "ascends") == []


def test_a_truth_value_that_turns_on_an_ascent(find: Find) -> None:
    text = rule("if fancy then x + lr*g else x - lr*g", hyper="  fancy = false\n")
    (problem,) = find(text, "ascends")
    assert problem.label == "at t = 1, g = 1, fancy = true: x goes from 0 to 0.1"


@pytest.mark.parametrize("name", ["maximize", "maximise", "ascend", "ascent", "negate"])
def test_ascent_on_purpose(name: str, find: Find) -> None:
    text = rule(f"if {name} then x + lr*g else x - lr*g", hyper=f"  {name} = false\n")
    assert find(text, "ascends") == []


def test_ascent_on_purpose_by_default(find: Find) -> None:
    text = rule("if maximize then x + lr*g else x - lr*g", hyper="  maximize = true\n")
    assert find(text, "ascends") == []
    assert len(find(text.replace("else x -", "else x +"), "ascends")) == 1
    text = rule("if minimize then x - lr*g else x + lr*g", hyper="  minimize = true\n")
    assert find(text, "ascends") == []
