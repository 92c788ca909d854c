"""Steps as matrices, and the conditions under which their powers shrink."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from optdsl.algebra.linear import _SCHUR as SCHUR
from optdsl.algebra.linear import LinearStep, NotLinear, linear_step, same_poles
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Rate, Role, Rule, Symbol, number
from optdsl.ir.show import show
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

from .support import HEAD, TEXTS, load

H = Symbol(Role.HYPER, "h", Rate.CONST)


def linear(rule: Rule, **held: ir.Expr) -> LinearStep:
    rate = next(hyper.symbol for hyper in rule.hypers if hyper.symbol.name in ("lr", "eta"))
    return linear_step(rule, H, {h.symbol: held[h.symbol.name] for h in rule.hypers if h.symbol.name in held}, rate)


def conditions(step: LinearStep) -> list[str]:
    return [f"{show(c.left)} {c.relation} {show(c.right)}" for c in step.conditions or ()]


def of(equations: str, hypers: str = "", states: str = "") -> Rule:
    state = f"state\n{states}\n" if states else ""
    return rule_of(SourceFile("r.opt", f"rule R(x, g)\n{HEAD}{hypers}\n{state}update\n{equations}\n"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flux/descent", ["eta*h < 2"]),
        ("momentum", ["lr*h < 2*(1 + momentum)", "momentum < 1"]),
        ("nesterov", ["lr*h < 2*(1 + momentum)/(1 + 2*momentum)", "lr*h*momentum > momentum - 1"]),
        ("flux/momentum", ["eta*h < 2*(1 + rho)"]),
        ("flux/nesterov", ["eta*h < 2*(1 + rho)/(1 + 2*rho)"]),
        ("ema", ["lr*h < 2*(1 + beta)/(1 - beta)"]),
        ("debiased", ["lr*h < 2*(1 + beta)/(1 - beta)"]),
        ("decoupled", ["lr*(h + wd) < 2"]),
        ("averaged", ["lr*h < 2"]),
    ],
)
def test_known_bounds(name: str, expected: list[str]) -> None:
    assert conditions(linear(load(name))) == expected


def test_the_matrix_of_heavy_ball() -> None:
    step = linear(load("momentum"))
    assert [symbol.name for symbol in step.variables] == ["x", "b"]
    assert [[show(entry) for entry in row] for row in step.matrix] == [
        ["1 - lr*h", "-(lr*momentum)"], ["h", "momentum"],
    ]  # fmt: skip
    assert not step.late


def test_states_that_the_parameter_does_not_depend_on_are_left_out() -> None:
    assert [symbol.name for symbol in linear(load("averaged")).variables] == ["x"]


def test_bias_correction_is_taken_as_it_is_at_late_steps() -> None:
    assert linear(load("debiased")).late
    assert not linear(load("ema")).late


def test_values_that_are_held_are_exact() -> None:
    step = linear(load("momentum"), momentum=ir.Number(Fraction("0.9")))
    assert conditions(step) == ["lr*h < 19/5"]


def test_of_two_bounds_on_the_same_the_tighter_one_is_told() -> None:
    half = Fraction(1, 2)
    assert conditions(linear(load("twice"), a=number(half), b=number(half))) == ["lr*h < 3"]


def test_a_held_learning_rate_leaves_the_curvature() -> None:
    assert conditions(linear(load("flux/descent"), eta=ir.Number(Fraction("0.1")))) == ["h < 20"]


def test_never() -> None:
    step = linear(of("  x' = x + lr*g"))
    assert step.never
    assert step.conditions == ()


def test_always() -> None:
    step = linear(of("  x' = 0.5*x + 0*lr*g"))
    assert (step.never, step.conditions) == (False, ())


def test_a_matrix_of_four_rows_has_no_closed_form() -> None:
    step = linear(load("thrice"))
    assert len(step.variables) == 4
    assert step.conditions is None


def test_an_interval_settles_a_sign_and_its_absence_leaves_it_open() -> None:
    text = "  x' = x - lr*(1 - a)*g"
    assert conditions(linear(of(text, "  a = 0.5 in [0, 1)"))) == ["lr*h < 2/(1 - a)"]
    assert conditions(linear(of(text, "  a = 0.5"))) == ["lr*h < 2/(1 - a)", "a < 1"]
    assert conditions(linear(of("  x' = x - lr*(g + a*x)", "  a = 0.5"))) == ["h > -a", "lr*(h + a) < 2"]
    assert conditions(linear(of(text, "  a = 2 in (1, inf)"))) == []
    assert linear(of(text, "  a = 2 in (1, inf)")).never


@pytest.mark.parametrize(
    ("equations", "states", "words"),
    [
        ("  x' = x - lr*sign(g)", "", "isn't linear in the parameter"),
        ("  v' = v + g^2\n  x' = x - lr*g/(1 + v')", "  v = 0", "isn't linear in the parameter"),
        ("  x' = x - lr*max(g, x)", "", "isn't linear in the parameter"),
        ("  x' = x - lr*(if g > 0 then g else 2*g)", "", "isn't linear in the parameter"),
        ("  x' = x - lr*(g + 1)", "", "isn't 0 where the parameter and the states are 0"),
        ("  x' = x - lr*g/(1 + mean(abs(g)))", "", "depends on all elements of the tensor"),
        ("  k' = 0.9*k\n  x' = x - lr*k*g", "  k: scalar = 1", "reads `k`, which changes from step to step"),
        ("  x' = x - lr*t*g", "", "changes with the step number without an end"),
        ("  x' = x - lr*g/t", "", "keeps a part of the old values for ever"),
        ("  x' = x - lr*g*2^t", "", "changes with the step number without an end"),
    ],
)
def test_what_is_not_linear(equations: str, states: str, words: str) -> None:
    with pytest.raises(NotLinear, match=words) as caught:
        linear(of(equations, states=states))
    assert caught.value.target.name == "x"


def test_cancellation_is_seen() -> None:
    assert conditions(linear(of("  x' = x - lr*(g^2/g + x^2 - x*x)"))) == ["lr*h < 2"]


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_inequalities_hold_exactly_where_all_roots_are_inside_the_circle(degree: int) -> None:
    chance = random.Random(degree)
    seen = set()
    for _ in range(3000):
        coefficients = [chance.uniform(-3, 3) for _ in range(degree)]
        radius = max(abs(np.roots([1.0, *coefficients])))
        if abs(radius - 1) > 1e-9:
            inside = all(value > 0 for value in SCHUR[degree](*coefficients))
            assert inside == (radius < 1), coefficients
            seen.add(inside)
    assert seen == {True, False}


def test_a_general_step_is_a_special_one_at_a_point() -> None:
    heavy, plain = load("momentum"), linear(of("  x' = x - lr*g"))
    momentum = heavy.hypers[1].symbol
    assert same_poles(linear(heavy), plain, {momentum: number(0)}, heavy)
    assert not same_poles(linear(heavy), plain, {momentum: number(1)}, heavy)


def test_every_rule_here_is_linear() -> None:
    for name in TEXTS:
        assert linear(load(name)).variables[0].name == "x", name
