"""Columns in 50-digit arithmetic, where algebra shows itself without rounding."""

from __future__ import annotations

import decimal
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from optdsl.ir.arithmetic import Digits
from optdsl.ir.nodes import Op
from optdsl.passes.columns import Array, Column, Columns, Points

DIGITS = 50
CONTEXT = decimal.Context(prec=DIGITS, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX, traps=[])
MOST_DIGITS = 400
"""For functions of numbers near 0 that are taken by way of others."""

ZERO, ONE, NAN, INF = Decimal(0), Decimal(1), Decimal("NaN"), Decimal("Infinity")


class DecimalColumns(Columns):
    """Columns as lists of decimals and truth values. What isn't real is NaN."""

    name = "decimals"

    def __init__(self, points: Points) -> None:
        super().__init__(points)
        self.rows: list[int] = points.rows.tolist()

    def literal(self, value: Fraction | float) -> Column:
        exact = (
            CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))
            if isinstance(value, Fraction)
            else Decimal(value)
        )
        return [exact] * self.settings.count

    def given(self, column: Array) -> Column:
        return [value if isinstance(value, bool) else CONTEXT.create_decimal(value) for value in column.tolist()]

    def elements(self, column: Array) -> Column:
        return self.given(column)

    def enter(self, column: Column) -> Column:
        return [column[row] for row in self.rows]

    def select(self, parts: tuple[Column, ...]) -> Column:
        return [chosen if condition else other for condition, chosen, other in zip(*parts, strict=True)]

    def apply(self, op: Op, parts: tuple[Column, ...], element: bool) -> Column:
        with decimal.localcontext(CONTEXT):
            return list(map(_OPERATIONS[op], *parts))


def _divide(a: Decimal, b: Decimal) -> Decimal:
    return a / b if b else NAN if a.is_nan() or not a else INF.copy_sign(a)


def modulo(a: Decimal, b: Decimal) -> Decimal:
    """Return the remainder with the sign of b; NaN for b = 0."""
    if not b or not a.is_finite() or b.is_nan():
        return NAN
    if b.is_infinite():
        return a if not a or (a > 0) == (b > 0) else b
    with decimal.localcontext() as context:
        context.prec = min(DIGITS + max(0, a.adjusted() - b.adjusted()), MOST_DIGITS)
        left = a % b
        left = left if not left or (left > 0) == (b > 0) else left + b
    return +left


def _power(a: Decimal, b: Decimal) -> Decimal:
    if not b:
        return ONE
    return INF if not a and b < 0 else a**b


def _sign(a: Decimal) -> Decimal:
    return a if a.is_nan() else ONE if a > 0 else -ONE if a < 0 else ZERO


def _root(a: Decimal) -> Decimal:
    return a if not a else (abs(a) ** (ONE / 3)).copy_sign(a)


def _closely(function: Callable[[Decimal], Decimal]) -> Callable[[Decimal], Decimal]:
    """Give a function as many more digits as those of its argument are behind the point: it goes by way of 1 + a."""

    def call(a: Decimal) -> Decimal:
        if not a or not a.is_finite():
            return +function(a)
        with decimal.localcontext() as context:
            context.prec = min(DIGITS + max(0, -2 * a.adjusted()), MOST_DIGITS)
            result = function(a)
        return +result

    return call


def _tanh(a: Decimal) -> Decimal:
    if a.is_infinite():
        return ONE.copy_sign(a)
    grown = (-2 * abs(a)).exp()
    return ((1 - grown) / (1 + grown)).copy_sign(a)


def _floor(a: Decimal) -> Decimal:
    return a.to_integral_value(decimal.ROUND_FLOOR) if a.is_finite() else a


@cache
def _digits() -> Digits:
    return Digits(DIGITS)


def _by_digits(op: Op) -> Callable[[Decimal], Decimal]:
    """Return a function that only mpmath has."""

    def call(a: Decimal) -> Decimal:
        if not a.is_finite():
            return NAN
        digits = _digits()
        return Decimal(digits.context.nstr(digits.scalar(op, (digits.context.mpf(str(a)),)), DIGITS))

    return call


_OPERATIONS: dict[Op, Callable[..., Any]] = {
    Op.NEG: operator.neg,
    Op.ADD: operator.add,
    Op.SUB: operator.sub,
    Op.MUL: operator.mul,
    Op.DIV: _divide,
    Op.MOD: modulo,
    Op.POW: _power,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.AND: lambda a, b: a and b,
    Op.OR: lambda a, b: a or b,
    Op.NOT: operator.not_,
    Op.ABS: abs,
    Op.SIGN: _sign,
    Op.SQRT: Decimal.sqrt,
    Op.CBRT: _root,
    Op.EXP: Decimal.exp,
    Op.EXPM1: _closely(lambda a: a.exp() - 1),
    Op.LOG: Decimal.ln,
    Op.LOG1P: _closely(lambda a: (1 + a).ln()),
    Op.SIN: _by_digits(Op.SIN),
    Op.COS: _by_digits(Op.COS),
    Op.TANH: _closely(_tanh),
    Op.FLOOR: _floor,
    Op.MIN: lambda a, b: a if a < b or a.is_nan() else b,
    Op.MAX: lambda a, b: a if a > b or a.is_nan() else b,
}
