"""Regions of stability: the formulas against eigenvalues, and both against rules that run."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from optdsl import load as compiled
from optdsl import loads
from optdsl.ir.evaluate import constant
from optdsl.ir.nodes import Expr
from optdsl.pipeline import rule_of
from optdsl.settings import parse_settings
from optdsl.source import SourceFile
from optdsl.stability.grid import grid
from optdsl.stability.region import CURVATURES, FACTOR, Region, limits, region

from .support import TEXTS, holds, load

LINEAR = [
    ("momentum", ""), ("nesterov", ""), ("flux/momentum", ""), ("flux/nesterov", ""), ("flux/descent", ""),
    ("sgd", ""), ("sgd", "momentum=0.5"), ("sgd", "momentum=0.5 and nesterov=true"),
    ("sgd", "momentum=0.7, dampening=0.4, weight_decay=0.3"), ("sgd", "maximize=true, weight_decay=2"),
    ("ema", ""), ("debiased", ""), ("decoupled", ""), ("averaged", ""), ("twice", ""), ("quasi", ""),
]  # fmt: skip


def drawn(found: Region, chance: random.Random) -> dict[str, Any]:
    """Return random values of what isn't given: numbers in their intervals, and a curvature."""
    numbers: dict[str, Any] = {**found.values, found.curvature.name: 10 ** chance.uniform(-1, 1)}
    for hyper in found.rule.hypers:
        name = hyper.symbol.name
        if name not in found.given and not isinstance(numbers[name], bool):
            high = 1.5 if hyper.interval is None else min(hyper.interval.high, 1.5)
            numbers[name] = chance.uniform(0.0, high)
    if found.rate is not None:
        numbers[found.rate.name] = 10 ** chance.uniform(-2, 2)
    return numbers


@pytest.mark.parametrize(("name", "when"), LINEAR)
def test_each_formula_agrees_with_the_eigenvalues_at_random_points(name: str, when: str) -> None:
    rule, given = load(name), parse_settings([when] if when else [])
    found = region(rule, given)
    chance = random.Random(0)
    seen = set()
    for _ in range(300):
        numbers = drawn(found, chance)
        form = next(f for f in found.forms if all(_is_true(c, numbers) is truth for c, truth in f.case.assumed))
        assert form.step is not None
        assert form.step.conditions is not None
        inside = not form.step.never and all(holds(condition, numbers) for condition in form.step.conditions)
        variables = tuple(symbol.name for symbol in form.step.variables)
        runs = grid(form.case.rule, numbers, None)
        radius = runs.radius(np.ones(1), np.array([numbers[found.curvature.name]]), variables)[0]
        if abs(radius - 1) > 1e-6:
            assert inside == (radius < 1), (numbers, radius)
            seen.add(inside)
    assert seen == {True, False}


def _is_true(condition: Expr, numbers: dict[str, Any]) -> bool:
    return bool(constant(condition, numbers))


@pytest.mark.parametrize(
    ("name", "when", "product"),
    [
        ("sgd", "", 2.0),
        ("momentum", "", 3.8),
        ("nesterov", "", 19 / 14),
        ("ema", "", 38.0),
        ("debiased", "", 38.0),
        ("sgd", "momentum=0.5, nesterov=true", 1.5),
    ],
)
def test_a_rule_that_runs_shrinks_inside_and_grows_outside(name: str, when: str, product: float) -> None:
    given = parse_settings([when] if when else [])
    found = region(load(name), given)
    assert found.usual is not None
    for factor, inside in ((0.98, True), (1.02, False)):
        numbers = {**found.values, "lr": factor * product / 2.5, "h": 2.5}
        assert all(holds(condition, numbers) for condition in found.usual.conditions or ()) is inside
        x = np.ones(1)
        made = loads(load(name).text, target="numpy") if name in TEXTS else compiled(name, target="numpy")
        optimizer = made(x, lr=numbers["lr"], **given)
        for _ in range(1500):
            optimizer.step(2.5 * x)
        assert abs(x[0]) < 0.5 if inside else abs(x[0]) > 2, (factor, x)


def test_forms_that_are_another_at_a_limit_are_told_once() -> None:
    found = region(load("sgd"), {})
    assert len(found.forms) == 2
    assert [len(form.case.assumed) for form in found.forms] == [1, 1]
    assert found.forms[0].case.usual
    assert not found.forms[1].case.usual


def test_the_first_step_is_no_part_of_it() -> None:
    forms = region(load("sgd"), {}).forms
    assert [form.case.late for form in forms] == [False, True]


def test_what_is_given_decides_the_form() -> None:
    (form,) = region(load("sgd"), {"momentum": 0.9, "weight_decay": 0.1}).forms
    assert form.step is not None
    assert [symbol.name for symbol in form.step.variables] == ["x", "b"]


def test_numbers_where_there_is_no_closed_form() -> None:
    found = region(load("thrice"), {})
    assert found.usual is not None
    assert found.usual.conditions is None
    products = [limit.curvature * limit.value for limit in limits(found) if limit.curvature and limit.value]
    # (z - a)^3*(z - 1) + s*(1 - a)^3*z^3 = 0 with a = 1/2 leaves the circle at s = 1.2 or so.
    largest = max(
        s for s in np.linspace(0.01, 10, 2000)
        if max(abs(np.roots(np.polyadd(np.polymul(np.poly([0.5] * 3), [1, -1]), [s / 8, 0, 0, 0])))) < 1
    )  # fmt: skip
    assert len(products) == len(CURVATURES)
    assert products == pytest.approx([largest] * len(products), rel=0.01)


def test_eigenvalues_and_formula_give_the_same_limits() -> None:
    found = region(load("momentum"), {})
    for limit in limits(found):
        assert limit.value is not None
        assert limit.curvature is not None
        assert limit.value * limit.curvature == pytest.approx(3.8, rel=0.01)


def test_without_a_learning_rate_the_curvature_is_limited() -> None:
    (limit,) = limits(region(load("momentum"), {"lr": 0.1}))
    assert limit.curvature is None
    assert limit.value == pytest.approx(38, rel=0.01)


def test_simulation_finds_what_is_known_for_a_linear_rule() -> None:
    found = region(load("momentum"), {})
    rates = np.array([3.7, 3.9])
    peak, end = found.grid(found.rate).runs(rates, np.ones(2))
    assert (peak <= FACTOR).tolist() == [True, False]
    assert end[0] < 1e-3
    assert end[1] > FACTOR


def test_a_run_that_left_the_numbers_does_not_come_back() -> None:
    found = region(load("sgd"), {})
    peak, end = found.grid(found.rate).runs(np.array([1e4]), np.array([1e4]))
    assert np.isinf(peak[0])
    assert np.isinf(end[0])


@pytest.mark.parametrize("name", ["adam", "lion", "rprop", "radam", "rmsprop", "adadelta", "nadam", "flux/adadelta"])
def test_runs_on_a_grid_are_those_of_the_compiled_rule(name: str) -> None:
    rule = load(name)
    found = region(rule, {})
    assert found.usual is None
    rates, curvatures = np.array([0.02, 0.3]), np.array([1.0, 4.0])
    largest = []
    for rate, curvature in zip(rates, curvatures, strict=True):
        x = np.ones(1)
        optimizer = loads(rule.text, target="numpy")(x, **({} if found.rate is None else {found.rate.name: rate}))
        seen = []
        for _ in range(40):  # few: some of these rules are chaotic, and rounding tells the two apart in the end
            optimizer.step(curvature * x)
            seen.append(abs(x[0]))
        largest.append(seen)
    for steps in (1, 2, 10, 40):
        peak, _ = found.grid(found.rate).runs(rates, curvatures, steps=steps)
        assert np.max(np.array(largest)[:, :steps], axis=1) == pytest.approx(peak, rel=1e-9)


def test_reductions_are_over_one_element() -> None:
    text = (
        "rule Scaled(x, g)\nhyper\n  lr = 0.1 in [0, inf)\nupdate\n"
        "  k = if norm(g) > 1 then 1/norm(g) else 1\n  x' = x - lr*k*g*size(x)*mean(abs(x))/amax(abs(x))\n"
    )
    found = region(rule_of(SourceFile("r.opt", text)), {})
    peak, end = found.grid(found.rate).runs(np.array([0.3, 0.1]), np.array([4.0, 0.5]))
    assert peak[0] == pytest.approx(0.7)  # |g| > 1: a step of lr
    assert end[1] == pytest.approx(0.95**901, rel=1e-9)  # |g| < 1: plain descent, lr*h = 0.05


def test_names_that_a_rule_uses_are_left_to_it() -> None:
    text = "rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n  h = 1 in (0, inf)\nupdate\n  x' = x - lr*h*g\n"
    assert region(rule_of(SourceFile("r.opt", text)), {}).curvature.name == "curvature"


def test_texts_are_all_looked_at() -> None:
    assert set(TEXTS) - {"thrice"} <= {name for name, _ in LINEAR}
