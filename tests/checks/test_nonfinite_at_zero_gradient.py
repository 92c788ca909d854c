"""`nonfinite-at-zero-gradient`: the operation that makes NaN or infinity is named and marked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optdsl.diagnostics import Problem
from optdsl.source import SourceFile

from .conftest import Find

SLUG = "nonfinite-at-zero-gradient"

ADAM = """rule Adam(x, g)
hyper
  lr    = 1e-3   in [0, inf)
  beta1 = 0.9    in [0, 1)
  beta2 = 0.999  in [0, 1)
state
  m = 0
  v = 0
update
  m'   = ema(m, g, beta1)
  v'   = ema(v, g^2, beta2)
  mhat = debias(m', beta1)
  x'   = x - lr*mhat/sqrt(debias(v', beta2))
"""


def rule(step: str, hyper: str = "", state: str = "", equations: str = "") -> str:
    states = f"state\n{state}" if state else ""
    update = f"{equations}  u = {step}\n  x' = x - lr*u\n"
    return f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n{hyper}{states}update\n{update}"


def marked(text: str, span: tuple[int, int]) -> str:
    return SourceFile("r.opt", text).snippet(span)


def test_adam_without_eps(find: Find) -> None:
    (problem,) = find(ADAM, SLUG)
    assert problem.message == "`x'` becomes NaN where the gradient is 0"
    place = "`lr*mhat/sqrt(debias(v', beta2))`"
    assert problem.label == f"at t = 1, g = 0: 0/0 in {place}, whatever the hyperparameters"
    assert problem.help == "add a positive `eps` to the denominator"
    assert marked(ADAM, problem.span) == "lr*mhat/sqrt(debias(v', beta2))"
    assert find(ADAM.replace("/sqrt(debias(v', beta2))", "/(sqrt(debias(v', beta2)) + 1e-8)"), SLUG) == []


@pytest.mark.parametrize(
    ("step", "operation", "place", "mend"),
    [
        ("g/abs(g)", "0/0", "g/abs(g)", "denominator"),
        ("0*(g/abs(g))", "0/0", "(g/abs(g))", "denominator"),
        ("min(1/g^2, 5)*0", "", "", ""),
        ("1/g^2", "1/0", "1/g^2", "denominator"),
        ("g^-2", "0^(-2)", "g^-2", "base"),
        ("abs(g)^-0.5", "0^(-0.5)", "abs(g)^-0.5", "base"),
        ("log(abs(g))", "log(0)", "log(abs(g))", "argument"),
        ("sqrt(abs(g) - 1)", "sqrt(-1)", "sqrt(abs(g) - 1)", "radicand"),
        ("exp(1000 + g)", "exp(1000)", "exp(1000 + g)", "finite"),
        ("g/norm(g)", "0/0", "g/norm(g)", "denominator"),
        ("sum(g/abs(g))", "0/0", "g/abs(g)", "denominator"),
        ("if abs(g) < 1 then g/g else 1", "0/0", "g/g", "denominator"),
    ],
)
def test_the_operation_is_found(step: str, operation: str, place: str, mend: str, find: Find) -> None:
    text = rule(step)
    found = find(text, SLUG)
    if not operation:
        assert found == []
        return
    (problem,) = found
    shown = place[1:-1] if place.startswith("(") else place
    assert f", g = 0: {operation} in `{shown}`" in problem.label
    assert marked(text, problem.span) == place
    assert mend in problem.help


def test_the_operation_is_found_through_names_and_states(find: Find) -> None:
    text = rule("m'", state="  m = 0\n", equations="  r = g/abs(g)\n  q = r + 1\n  m' = m + q\n")
    (problem,) = find(text, SLUG)
    assert marked(text, problem.span) == "g/abs(g)"


def test_two_operations_are_two_findings(find: Find) -> None:
    text = rule("g/abs(g) + m", state="  m = 0\n", equations="  m' = m + 1/g^2\n")
    assert [marked(text, p.span) for p in find(text, SLUG)] == ["1/g^2", "g/abs(g)"]


def test_trouble_after_a_step_with_a_gradient(find: Find) -> None:
    text = rule("g/(m - abs(g))", state="  m = 2\n", equations="  m' = if m == 2 and g == 0 then 2 else 0\n")
    (problem,) = find(text, SLUG)
    assert "at t = 2" in problem.label


def test_trouble_with_a_truth_value(find: Find) -> None:
    text = rule("if bare then g/abs(g) else g", hyper="  bare = false\n")
    (problem,) = find(text, SLUG)
    assert problem.label == "at t = 1, g = 0, bare = true: 0/0 in `g/abs(g)`, whatever the other hyperparameters"


def test_an_eps_that_only_float64_can_hold(find: Find) -> None:
    text = rule("g/(abs(g) + eps)", hyper="  eps = 1e-60 in [0, inf)\n")
    (problem,) = find(text, SLUG)
    assert "in float32" in problem.label
    assert "whatever" not in problem.label
    assert "32 bits" in problem.help


@pytest.mark.parametrize(
    "text",
    [
        rule("if g == 0 then 0 else g/abs(g)"),
        rule("if t > 0 then g else k*g", equations="  k = sqrt(-t)\n"),
        rule("min(g, best)", state="  best = inf\n", equations="  best' = best\n"),
        rule("clip(g, -limit, limit)", hyper="  limit = inf\n"),
        rule("g/(norm(x) + 1)"),
        rule("if norm(x) > 0 then g/norm(x) else g"),
    ],
    ids=["guarded", "arm not taken", "infinite start", "infinite default", "norm", "guarded norm"],
)
def test_rules_that_stay_finite(text: str, find: Find) -> None:
    assert find(text, SLUG) == []


def test_the_start_is_told_where_it_matters(find: Find) -> None:
    (problem,) = find(rule("g/sum(abs(x)*g^2 + abs(g))"), SLUG)
    assert problem.label.startswith("at t = 1, g = 0: 0/0 in")
    (problem,) = find(rule("g/(norm(x) + norm(g))"), SLUG)
    assert problem.label == "at t = 1, g = 0, x = 0: 0/0 in `g/(norm(x) + norm(g))`"


@pytest.mark.parametrize("step", ["sqrt(-1)*g", "g/norm(x)", "g/abs(t - 3)", "g*log(x - x)"])
def test_what_fails_whatever_the_gradient_is_found_by_another_check(
    step: str, find: Find, findings: Callable[[str], list[Problem]]
) -> None:
    assert find(rule(step), SLUG) == []
    (problem,) = findings(rule(step))
    assert problem.slug in ("vanishing-denominator", "negative-radicand")


def test_what_fails_on_one_side_too_stays_here(find: Find) -> None:
    assert len(find(rule("sqrt(-1 - g)"), SLUG)) == 1
    assert len(find(rule("sqrt(g - 1)"), SLUG)) == 1


def test_the_element_that_fails_is_told(find: Find) -> None:
    (problem,) = find(rule("sum(g/(abs(g) + (x + 1)^2))"), SLUG)
    assert problem.label == "at t = 1, g = 0: 0/0 in `g/(abs(g) + (x + 1)^2)`"


def test_an_overflow_whatever_the_gradient_stays_here(find: Find) -> None:
    (problem,) = find(rule("exp(1000)*g"), SLUG)
    assert "exp(1000)" in problem.label


def test_a_long_place_is_cut_and_put_on_one_line(find: Find) -> None:
    spread = " + ".join(["abs(g)"] * 12)
    (problem,) = find(rule(f"g/({spread}\n   )"), SLUG)
    assert problem.label.endswith("+ abs...`, whatever the hyperparameters")
    assert "\n" not in problem.label
