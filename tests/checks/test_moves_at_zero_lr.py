"""`moves-at-zero-lr`: decay and noise that the learning rate doesn't scale."""

from __future__ import annotations

import pytest

from .conftest import Find

ADAMW = """rule AdamW(x, g)
hyper
  lr           = 1e-3   in [0, inf)
  beta1        = 0.9    in [0, 1)
  beta2        = 0.999  in [0, 1)
  eps          = 1e-8   in [0, inf)
  weight_decay = 1e-2   in [0, inf)
state
  m = 0
  v = 0
update
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  x' = x - lr*debias(m', beta1)/(sqrt(debias(v', beta2)) + eps) - weight_decay*x
"""


def rule(step: str, rate: str = "lr = 0.1 in [0, inf)", state: str = "", equations: str = "") -> str:
    states = f"state\n{state}" if state else ""
    return f"rule R(x, g)\nhyper\n  {rate}\n{states}update\n{equations}  x' = {step}\n"


def test_decoupled_decay_without_the_learning_rate(find: Find) -> None:
    (problem,) = find(ADAMW, "moves-at-zero-lr")
    assert problem.label == "at t = 1, g = 1, lr = 0, weight_decay = 0.01: x goes from 1 to 0.99"
    assert problem.help == "multiply the part with `weight_decay` by `lr`"
    assert find(ADAMW.replace("- weight_decay*x", "- lr*weight_decay*x"), "moves-at-zero-lr") == []
    assert find(ADAMW.replace("1e-2   in", "0      in"), "moves-at-zero-lr") == []


@pytest.mark.parametrize("name", ["lr", "learning_rate", "eta", "step_size"])
def test_names_of_the_learning_rate(name: str, find: Find) -> None:
    text = rule(f"x - {name}*g - 0.01*g", rate=f"{name} = 0.1 in [0, inf)")
    (problem,) = find(text, "moves-at-zero-lr")
    assert problem.message == f"`x` moves even where `{name}` is 0"
    assert problem.help == f"multiply every part of the step by `{name}`"


def test_moving_at_a_later_step(find: Find) -> None:
    text = rule("x - lr*g - m", state="  m = 0\n", equations="  m' = m + g\n")
    (problem,) = find(text, "moves-at-zero-lr")
    assert problem.label.startswith("at t = 2")


@pytest.mark.parametrize(
    "text",
    [
        rule("x + v'", state="  v = 0\n", equations="  v' = 0.9*v - lr*g\n"),
        rule("(1 - 0.1*lr)*x - lr*g"),
        rule("x - s'*sign(g)", state="  s = lr\n", equations="  s' = clip(s*1.2, 0.001, 50)\n"),
        rule("x - s'*sign(g)", state="  s = 1\n", equations="  s' = if t == 1 then lr else clip(s, 0.001, 50)\n"),
        rule("x - 0.01*g", rate="lr = 0.1\n  unrelated = 3"),
        rule("x - lr*g - 0.01*x", rate="lr = 0.1 in (0, inf)"),
        rule("x - rate*g - 0.01*x", rate="rate = 0.1"),
        rule("x - lr*g - decay*x", rate="lr = 0.1 in [0, inf)\n  decay = lr/10"),
        rule("(x + 0.001) - 0.001 - lr*g"),
        rule("x*(1/49)*49 - lr*g"),
    ],
    ids=[
        "velocity", "decay", "start of a state", "first step only", "unread", "never zero", "another name",
        "a default that follows", "rounding", "more rounding",
    ],
)  # fmt: skip
def test_rules_at_rest(text: str, find: Find) -> None:
    assert find(text, "moves-at-zero-lr") == []
