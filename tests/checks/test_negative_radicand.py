"""`negative-radicand`: by range and by rounding, with the numbers; arms not taken are left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optdsl.checks import _trial
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.nodes import Rule
from optdsl.source import SourceFile

from .conftest import Find

SLUG = "negative-radicand"


def rule(step: str, hyper: str = "", state: str = "", equations: str = "") -> str:
    states = f"state\n{state}" if state else ""
    update = f"{equations}  u = {step}\n  x' = x - lr*u\n"
    return f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n{hyper}{states}update\n{update}"


CENTERED = rule(
    "g/(sqrt(v' - m'^2) + 1e-8)", "  beta = 0.9 in [0, 1)\n", "  m = 0\n  v = 0\n",
    "  m' = ema(m, g, beta)\n  v' = ema(v, g^2, beta)\n",
)  # fmt: skip


def test_a_variance_of_two_averages(find: Find) -> None:
    (problem,) = find(CENTERED, SLUG)
    assert problem.message == "`v' - m'^2` can be negative by rounding, which makes its root NaN"
    assert SourceFile("r.opt", CENTERED).snippet(problem.span) == "sqrt(v' - m'^2)"
    assert "at every step, in float32: sqrt(-" in problem.label
    assert problem.help == "keep it from falling below 0: `sqrt(max(..., 0))`"
    assert find(CENTERED.replace("sqrt(v' - m'^2)", "sqrt(max(v' - m'^2, 0))"), SLUG) == []


def test_the_told_values_bring_it_about(find: Find, load: Callable[[str], Rule]) -> None:
    (problem,) = find(CENTERED, SLUG)
    words = problem.label.removeprefix("at t = ")
    last, gradient = int(words.split(",")[0]), float(words.split("g = ")[1].split()[0])
    rule = load(CENTERED)
    taken = list(_trial.steps(rule, _trial.values(rule, {}), [1.0], [gradient] * last, Arrays(np.float32)))
    assert [bool(np.isnan(step.outcome.parameter[0])) for step in taken] == [False] * (last - 1) + [True]


def test_averages_that_remember_for_long(find: Find) -> None:
    (problem,) = find(CENTERED.replace("beta = 0.9", "beta = 0.9999"), SLUG)
    assert ", beta = 0.9, in float32: sqrt(-" in problem.label


def test_different_decays_are_wrong_in_exact_arithmetic(find: Find) -> None:
    text = CENTERED.replace("ema(v, g^2, beta)", "ema(v, g^2, 0.99)")
    (problem,) = find(text, SLUG)
    assert problem.message == "`v' - m'^2` can be negative, which makes its root NaN"
    assert problem.label.startswith("at t = 2, g = 1 at every step: sqrt(-0.0")


@pytest.mark.parametrize(
    ("step", "label", "message"),
    [
        ("sqrt(1 + g)", "at t = 1, g = -2: sqrt(-1) in `sqrt(1 + g)`", "its root"),
        ("g*(5 - t)^0.5", "at t = 6: (-1)^0.5 in `(5 - t)^0.5`", "a power of it"),
        ("(g + 0.5)^0.3", "at t = 1, g = -1: (-0.5)^0.3 in `(g + 0.5)^0.3`", "a power of it"),
        ("log(g + 1.5)", "at t = 1, g = -2: log(-0.5) in `log(g + 1.5)`", "its `log`"),
        ("log1p(g)", "at t = 1, g = -2: log1p(-2) in `log1p(g)`", "its `log1p`"),
        ("g*sqrt(1 - t/100)", "at t = 101: sqrt(-0.01) in `sqrt(1 - t/100)`", "its root"),
    ],
)
def test_negative_by_range(step: str, label: str, message: str, find: Find) -> None:
    (problem,) = find(rule(step), SLUG)
    assert problem.label.replace("-1^0.5", "(-1)^0.5").replace(": -0.5^", ": (-0.5)^") == label
    assert problem.message.endswith(f"which makes {message} NaN")


@pytest.mark.parametrize(
    "text",
    [
        rule("if t > 5 then sqrt(t - 5)*g else g"),
        rule("if r > 5 then k*g else g", equations="  r = t - 3\n  k = sqrt((r - 4)*(r - 2))\n"),
        rule("sqrt(v')*g", state="  v = 0\n", equations="  v' = lerp(v, g^2, 0.1)\n"),
        rule("sqrt(abs(g))"),
        rule("if g > 0 then sqrt(g) else 0"),
        rule("sqrt(v')*g", state="  v = 1\n", equations="  v' = v - 0.1*(v - g^2)\n"),
        rule("sqrt(norm(g)^2 + sum(abs(x)))*g"),
    ],
    ids=["guarded", "guarded by name", "lerp", "size", "select", "another average", "reductions"],
)
def test_what_is_never_negative(text: str, find: Find) -> None:
    assert find(text, SLUG) == []


def test_a_truth_value_turns_it_on(find: Find) -> None:
    text = CENTERED.replace("sqrt(v' - m'^2)", "sqrt(if centered then v' - m'^2 else v')")
    text = text.replace("state\n", "  centered = false\nstate\n", 1)
    (problem,) = find(text, SLUG)
    assert ", centered = true, in float32" in problem.label
    assert problem.message.startswith("`v' - m'^2` can be")
