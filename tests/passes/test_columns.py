"""Columns hold what the interpreter finds point by point: in floats, in 50 digits, and the sizes of terms."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from optdsl.ir.arithmetic import Arrays, Digits
from optdsl.ir.evaluate import evaluate
from optdsl.ir.nodes import Expr, Kind, Op, Rate, Rule, Symbol, kind
from optdsl.ir.powers import expand
from optdsl.passes import decimals
from optdsl.passes.columns import FloatColumns, Points
from optdsl.passes.decimals import DecimalColumns
from optdsl.passes.domain import Domain, Knowledge, reads
from optdsl.passes.points import points_for, settings_for
from optdsl.passes.sizes import Sizes
from optdsl.passes.terms import Terms
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

HEAD = """rule R(x, g)
hyper
  k = 3 in [0, inf)
  b = 0.9 in [0, 1)
  flag = true
state
  v = 1
update
  c = 1 - b^t
  v' = v + g
"""
PLAIN = [
    "x - k*(g/c)/(sqrt(v/c) + b)",
    "if flag then x*g else x/g",
    "if x > g then x + size(x) else -v",
    "min(x, max(g, v))*sign(x)",
    "(x + g)*(x - g) - x^3",
    "where(x > 0 and not (g > 0) or v == x, abs(x), floor(g))",
    "if t == 1 then k else b*x",
]
LIBRARY = [f"{name}(x)*b" for name in ("cbrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh")] + ["abs(x)^b"]


def of(form: str) -> tuple[Expr, Points, Rule]:
    """Return an expression, points to evaluate it at, and the rule it is from."""
    rule = rule_of(SourceFile("rule.opt", f"{HEAD}  x' = {form}\n"))
    expr = expand(rule.equations[-1].value)
    settings = settings_for([expr], Knowledge.of(rule, Domain(rule), {}))
    return expr, points_for(expr, settings, 10), rule


def at(points: Points, row: int, arithmetic: Any, symbol: Symbol) -> Any:
    """Return the value of a symbol at a row, in some arithmetic; elements as a tensor of one."""
    if symbol in points.settings.definitions:
        return evaluate(points.settings.definitions[symbol], lambda s: at(points, row, arithmetic, s), arithmetic, 1)
    if symbol.rate is Rate.ELEMENT:
        return arithmetic.spread(arithmetic.literal(float(points.given[symbol][row])), 1)
    value = points.settings.given[symbol][points.rows[row]]
    return bool(value) if symbol.kind is Kind.BOOLEAN else arithmetic.literal(float(value))


def interpreted(expr: Expr, points: Points, row: int, arithmetic: Any) -> Any:
    """Return what the interpreter makes of an expression at a row."""
    value = evaluate(expr, lambda symbol: at(points, row, arithmetic, symbol), arithmetic, 1)
    return arithmetic.spread(value, 1)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", PLAIN)
def test_floats_are_the_interpreters(form: str, dtype: Any) -> None:
    """Bit for bit, in operations that are exact to the last one."""
    expr, points, _ = of(form)
    with np.errstate(all="ignore"):
        found = FloatColumns(points, dtype).of(expr)
        arithmetic = Arrays(dtype)
        meant = np.array([interpreted(expr, points, row, arithmetic) for row in range(points.rows.size)], dtype)
    np.testing.assert_array_equal(np.asarray(found, dtype), meant)


@pytest.mark.parametrize("form", PLAIN + LIBRARY)
def test_decimals_are_the_digits(form: str) -> None:
    """To 45 digits; and NaN where that is."""
    expr, points, _ = of(form)
    found = DecimalColumns(points).of(expr)
    digits = Digits(60)
    compared = 0
    for row, value in enumerate(found):
        meant = interpreted(expr, points, row, digits)
        near = form in LIBRARY and any(0 < abs(c[row]) < 1e-10 for c in points.given.values())
        if digits.context.isfinite(meant) and not near:
            difference = abs(digits.context.mpf(str(value)) - meant)
            scale = max(abs(digits.literal(float(c[row]))) for c in points.given.values())
            assert difference <= 1e-45 * (abs(meant) + scale + digits.context.mpf(1e-320)), (row, value, meant)
            compared += 1
    assert compared > 30


def test_decimals_have_every_operation() -> None:
    assert set(decimals._OPERATIONS) == set(Op)


def test_decimals_near_zero_keep_their_digits() -> None:
    """Functions that go by way of 1 + a lose nothing where a is tiny."""
    for name in ("expm1", "log1p", "tanh"):
        expr, points, _ = of(f"{name}(x)")
        (x,) = (column for symbol, column in points.given.items() if symbol.name == "x")
        for given, value in zip(x.tolist(), DecimalColumns(points).of(expr), strict=True):
            if 0 < abs(given) < 1e-20:
                assert abs(value - Decimal(given)) <= Decimal("1e-19") * abs(Decimal(given))


@pytest.mark.parametrize("form", [form for form in PLAIN if "sign" not in form])
def test_sizes_are_those_of_terms(form: str) -> None:
    """Away from underflow and overflow, and where no condition changes hands."""
    expr, points, _ = of(form)
    if kind(expr) is not Kind.NUMBER:
        pytest.fail("a size of truth values")
    values = FloatColumns(points, np.float64)
    found = Sizes(values, np.float64).of(expr)
    compared = 0
    for row, size in enumerate(found.tolist()):
        elements = [abs(column[row]) for column in points.given.values()]
        if all(1e-3 < value < 1e3 for value in elements) and math.isfinite(values.of(expr)[row]):
            meant = interpreted(expr, points, row, Terms())
            assert size == pytest.approx(float(meant.size), rel=1e-9)
            compared += 1
    assert compared > 5


def test_every_part_is_computed_once() -> None:
    """Scalars are shared by all who look at them, elements by those in one arithmetic."""
    expr, points, rule = of("k*x/c + k*g/c")
    before = len(points.settings.table)
    assert points.settings.number(expr) == points.settings.number(expand(rule.equations[-1].value))
    for _ in range(2):
        FloatColumns(points, np.float64).of(expr)
    distinct = len(points.settings.table)
    assert distinct - before <= 20
    assert len({id(column) for column in points.settings.columns["floats"].values()}) <= distinct
    assert [symbol.name for symbol in reads(expr, points.settings.definitions)] == ["k", "x", "b", "t", "g"]
