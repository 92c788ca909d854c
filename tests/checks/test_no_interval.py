"""`no-interval`: where an interval keeps wrong values out, and where it wouldn't."""

from __future__ import annotations

import pytest

from optdsl.source import SourceFile

from .conftest import Find

SLUG = "no-interval"


def rule(hyper: str, step: str, equations: str = "") -> str:
    return (
        f"rule R(x, g)\nhyper\n  rate = 0.1 in [0, inf)\n  {hyper}\nstate\n  m = 0\n  v = 0\nupdate\n"
        f"  m' = 0.9*m + g\n  v' = 0.9*v + g^2\n{equations}  x' = x - rate*({step})\n"
    )


@pytest.mark.parametrize(
    ("hyper", "step", "what", "interval"),
    [
        ("k = 0.9", "m'/(1 - k^t)", "a decay", "[0, 1)"),
        ("k = 0.9", "ema(m, g, k)", "a decay", "[0, 1)"),
        ("k = 0.9", "m*(1 - k) + v*k", "a decay", "[0, 1)"),
        ("k = 1e-8", "m'/(sqrt(v') + k)", "part of a denominator", "[0, inf)"),
        ("k = 1e-8", "m'/d", "part of a denominator", "[0, inf)"),
        ("k = 0.1", "m'/(1 + (t - 1)*k)", "part of a denominator", "[0, inf)"),
        ("k = 1e-8", "m'*sqrt(v' + k)", "under a root or a logarithm", "[0, inf)"),
        ("k = 1e-8", "m'*(v' + k)^0.3", "under a root or a logarithm", "[0, inf)"),
        ("lr = 0.1", "lr*m'", "the learning rate", "[0, inf)"),
        ("step_size = 0.1", "step_size*m'", "the learning rate", "[0, inf)"),
    ],
)
def test_where_any_number_makes_no_sense(hyper: str, step: str, what: str, interval: str, find: Find) -> None:
    name, value = hyper.split(" = ")
    text = rule(hyper, step, "  d = sqrt(v') + k\n" if step.endswith("/d") else "")
    (problem,) = find(text, SLUG)
    assert SourceFile("r.opt", text).snippet(problem.span) == name
    assert problem.message == f"`{name}` takes any number, and it is {what}"
    assert f"`in {interval}`" in problem.help
    assert problem.label
    for written in (interval, "(-inf, inf)"):
        assert find(text.replace(f"{name} = {value}", f"{name} = {value} in {written}"), SLUG) == []


def test_a_factor_of_a_state_in_its_own_equation_is_a_decay(find: Find) -> None:
    text = "rule R(x, g)\nhyper\n  rho = 0.9\nstate\n  b = 0\nupdate\n  b' = rho*b + g\n  x' = x - 0.1*b'\n"
    (problem,) = find(text, SLUG)
    assert problem.message == "`rho` takes any number, and it is a decay"
    assert problem.label == "at rho = 1.5 the state would grow without bound"


def test_a_learning_rate_that_only_starts_a_state(find: Find) -> None:
    text = "rule R(x, g)\nhyper\n  lr = 0.1\nstate\n  s = lr\nupdate\n  s' = 0.5*s\n  x' = x - s'*sign(g)\n"
    (problem,) = find(text, SLUG)
    assert problem.message == "`lr` takes any number, and it is the learning rate"


def test_the_interval_offered_holds_the_default(find: Find) -> None:
    (problem,) = find(rule("k = 1", "ema(m, g, k)"), SLUG)
    assert "`in [0, inf)`" in problem.help
    (problem,) = find(rule("k = -1", "ema(m, g, k)"), SLUG)
    assert "`in (-inf, inf)`; a value" in problem.help


@pytest.mark.parametrize(
    ("hyper", "step"),
    [
        ("dampening = 0", "m' + (1 - dampening)*g"),
        ("weight_decay = 0", "m' + weight_decay*x"),
        ("flag = false", "if flag then m' else g"),
        ("k = 1", "m'/(sqrt(v' + (k*g)^2) + 1e-8)"),
        ("k = 1", "m'/(1 + abs(k*g))"),
        ("k = 1", "m'/(1 + (k*g)*(k*g))"),
        ("k = 2", "m' + k"),
        ("lr = 0.1", "m'"),
    ],
)
def test_where_any_number_is_fine(hyper: str, step: str, find: Find) -> None:
    assert find(rule(hyper, step), SLUG) == []
