"""`vanishing-denominator`: found with the numbers that bring it about, and only then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optdsl.diagnostics import Problem
from optdsl.source import SourceFile

from .conftest import Find

SLUG = "vanishing-denominator"


def rule(step: str, hyper: str = "", state: str = "", equations: str = "") -> str:
    states = f"state\n{state}" if state else ""
    update = f"{equations}  u = {step}\n  x' = x - lr*u\n"
    return f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n{hyper}{states}update\n{update}"


def marked(text: str, problem: Problem) -> str:
    return SourceFile("r.opt", text).snippet(problem.span)


SECANT = rule("g/d", state="  old = 0\n", equations="  old' = g\n  d = if g == 0 then 1 else abs(g - old)\n")


def test_two_equal_gradients(find: Find) -> None:
    (problem,) = find(SECANT, SLUG)
    assert problem.message == "the denominator `d` can be 0"
    assert problem.label == "at t = 2, g = 1 at every step: 1/0 in `g/d`"
    assert marked(SECANT, problem) == "g/d"
    assert "eps" in problem.help
    assert find(SECANT.replace("abs(g - old)", "abs(g - old) + 1e-8"), SLUG) == []


def test_a_parameter_that_does_not_move(find: Find) -> None:
    text = rule("g/(1e3*abs(x - old))", state="  old = 1\n", equations="  old' = x\n")
    (problem,) = find(text, SLUG)
    assert problem.label == "at t = 1, x = 1, g = 1: 1/0 in `g/(1e3*abs(x - old))`"


def test_a_start_at_zero(find: Find, findings: Callable[[str], list[Problem]]) -> None:
    (problem,) = findings(rule("g/norm(x)"))
    assert problem.slug == SLUG
    assert problem.label == "at t = 1, x = 0, g = 1: 1/0 in `g/norm(x)`"


@pytest.mark.parametrize(
    ("step", "operation", "place", "message"),
    [
        ("g/(2 - abs(t - 4))", "1/0", "g/(2 - abs(t - 4))", "the denominator `2 - abs(t - 4)` can be 0"),
        ("g*(t - 3)^-2", "0^(-2)", "(t - 3)^-2", "the base of a negative power, `t - 3`, can be 0"),
        ("g*log(abs(t - 2))", "log(0)", "log(abs(t - 2))", "the argument of `log`, `abs(t - 2)`, can be 0"),
        ("g*log1p(-1/t)", "log1p(-1)", "log1p(-1/t)", "the argument of `log1p`, `-1/t`, can be -1"),
        ("g/(1000 - t)", "1/0", "g/(1000 - t)", "the denominator `1000 - t` can be 0"),
        ("debias(g, 1)", "1/0", "debias(g, 1)", "the denominator of `debias(g, 1)` can be 0"),
    ],
)
def test_what_the_step_number_brings_about(step: str, operation: str, place: str, message: str, find: Find) -> None:
    text = rule(step)
    (problem,) = find(text, SLUG)
    assert problem.message == message
    assert f": {operation} in `{place}`" in problem.label
    assert marked(text, problem) == place


def test_a_late_step_is_told(find: Find) -> None:
    (problem,) = find(rule("g/(1000 - t)"), SLUG)
    assert problem.label == "at t = 1000, g = 1 at every step: 1/0 in `g/(1000 - t)`"


def test_an_option_that_is_off_by_default(find: Find) -> None:
    text = rule("if decay != 0 then g/(1 - abs(g)) else g", hyper="  decay = 0 in [0, inf)\n")
    (problem,) = find(text, SLUG)
    assert problem.label == "at t = 1, g = 1, decay = 0.1: 1/0 in `g/(1 - abs(g))`"
    text = rule("if odd then g/(1 - abs(g)) else g", hyper="  odd = false\n")
    (problem,) = find(text, SLUG)
    assert problem.label == "at t = 1, g = 1, odd = true: 1/0 in `g/(1 - abs(g))`"


def test_a_zero_that_only_a_zero_gradient_makes_is_told_once(findings: Callable[[str], list[Problem]]) -> None:
    text = rule("g/sqrt(v')", state="  v = 0\n", equations="  v' = ema(v, g^2, 0.9)\n")
    assert [problem.slug for problem in findings(text)] == ["nonfinite-at-zero-gradient"]
    text = rule("g/(abs(g)*abs(g - 0.5))")
    assert [problem.slug for problem in findings(text)] == ["nonfinite-at-zero-gradient"]


@pytest.mark.parametrize(
    "text",
    [
        rule("g/(sqrt(v') + eps)", "  eps = 1e-8 in [0, inf)\n", "  v = 0\n", "  v' = ema(v, g^2, 0.9)\n"),
        rule("g/(1 - 0.9^t)"),
        rule("g/(1 - p')", state="  p: scalar = 1\n", equations="  p' = p*0.9\n"),
        rule("if t == 3 then g else g/(t - 3)"),
        rule("g*min(1/abs(1 - abs(g)), 5)"),
        rule("if abs(g) == 1 then g else g/(1 - abs(g))"),
        rule("g/max(abs(g - old), 1e-8)", state="  old = 0\n", equations="  old' = g\n"),
        rule("g/(3.14159265 - abs(g))"),
    ],
    ids=["eps", "debias", "product", "left out", "clipped", "guarded", "maximum", "no coincidence"],
)
def test_rules_that_stay_finite(text: str, find: Find) -> None:
    assert find(text, SLUG) == []


def test_the_start_of_a_state_is_told(find: Find) -> None:
    (problem,) = find(rule("g/abs(z)", state="  z = x\n", equations="  z' = z\n"), SLUG)
    assert problem.label == "at t = 1, x = 0, g = 1: 1/0 in `g/abs(z)`"


def test_a_zero_of_the_users_making_is_no_finding(find: Find) -> None:
    text = rule("g/(1 - k*abs(g))", hyper="  k = 0.3 in [0, 1]\n")
    assert find(text, SLUG) == []
    assert len(find(text.replace("0.3", "0.5"), SLUG)) == 1
