"""Arithmetic of intervals: bounds on the result of an operation from bounds on its operands.

The bounds hold for rounded arithmetic. `+ - * /`, squares and square roots round once, and rounding keeps the order of
numbers, so the ends of their results are rounded results themselves; other ends are moved outward a little. An end at 0
is never moved: rounding doesn't change the sign of a sum, a quotient or a root. A product or a power may underflow, so
its end at 0 is one it may take. NaN is left aside: a bound is about the values that are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optdsl.ir import ieee
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Op

INF = math.inf
ANY = Interval(-INF, INF, True, True)
"""Every number, the infinities too."""
NOT_NEGATIVE = Interval(0.0, INF, True, True)
AT_MOST_ONE = Interval(-1.0, 1.0, True, True)
_SCALAR_SLACK, _ELEMENT_SLACK = 1e-12, 1e-6
"""How far ends are moved outward, relative to their size."""
HUGE = 3e38
"""A size above which float32 may be infinite."""

_MONOTONE: dict[Op, Callable[[float], float]] = {
    Op.CBRT: ieee.cbrt,
    Op.EXP: ieee.exp,
    Op.EXPM1: ieee.expm1,
    Op.TANH: ieee.tanh,
    Op.FLOOR: ieee.floor,
}
_FROM: dict[Op, tuple[float, Callable[[float], float]]] = {
    Op.LOG: (0.0, ieee.log),
    Op.LOG1P: (-1.0, ieee.log1p),
    Op.SQRT: (0.0, ieee.sqrt),
}
"""Functions that rise from a least argument; below it they are NaN."""


def point(value: float) -> Interval:
    """Return the interval of one number."""
    return Interval(value, value, True, True)


def is_point(a: Interval) -> bool:
    """Return whether an interval holds one number."""
    return a.low == a.high


def is_empty(a: Interval) -> bool:
    """Return whether an interval holds no number."""
    return a.low > a.high or (is_point(a) and not (a.low_closed and a.high_closed))


def is_positive(a: Interval) -> bool:
    """Return whether every number of an interval is above 0."""
    return a.low > 0 or (a.low == 0 and not a.low_closed)


def without_zero(a: Interval) -> bool:
    """Return whether an interval doesn't hold 0."""
    return is_positive(a) or is_positive(negated(a))


def is_share(a: Interval) -> bool:
    """Return whether every number of an interval is between 0 and 1."""
    return a.low >= 0 and a.high <= 1


def hull(a: Interval, b: Interval) -> Interval:
    """Return the smallest interval that holds two."""
    low, high = min(a.low, b.low), max(a.high, b.high)
    return Interval(
        low, high, (a.low == low and a.low_closed) or (b.low == low and b.low_closed),
        (a.high == high and a.high_closed) or (b.high == high and b.high_closed),
    )  # fmt: skip


def meet(a: Interval, b: Interval) -> Interval:
    """Return what two intervals have in common, which may be empty."""
    low, high = max(a.low, b.low), min(a.high, b.high)
    return Interval(
        low, high, (a.low < low or a.low_closed) and (b.low < low or b.low_closed),
        (a.high > high or a.high_closed) and (b.high > high or b.high_closed),
    )  # fmt: skip


def negated(a: Interval) -> Interval:
    """Return the numbers of an interval with their signs changed."""
    return Interval(-a.high, -a.low, a.high_closed, a.low_closed)


def narrowed(values: Interval, op: Op, other: Interval) -> Interval:
    """Return the values for which a comparison with some value of another range holds."""
    match op:
        case Op.LT | Op.LE:
            closed = other.high_closed and op is Op.LE
            return meet(values, Interval(-INF, other.high, True, closed))
        case Op.GT | Op.GE:
            closed = other.low_closed and op is Op.GE
            return meet(values, Interval(other.low, INF, closed, True))
        case Op.EQ:
            return meet(values, other)
    if not is_point(other):
        return values
    low_closed = values.low_closed and values.low != other.low
    return replace(values, low_closed=low_closed, high_closed=values.high_closed and values.high != other.low)


def whole(values: Interval) -> Interval:
    """Return the range of the whole numbers in a range."""
    low, high = values.low, values.high
    if math.isfinite(low):
        low = math.ceil(low) if values.low_closed or low != math.ceil(low) else low + 1
    if math.isfinite(high):
        high = math.floor(high) if values.high_closed or high != math.floor(high) else high - 1
    return Interval(float(low), float(high), math.isfinite(low), math.isfinite(high))


def below(a: Interval, b: Interval) -> bool | None:
    """Return whether every number of one range is below every number of another, or none is."""
    if a.high < b.low or (a.high == b.low and not (a.high_closed and b.low_closed)):
        return True
    return False if a.low >= b.high else None


def as_elements(a: Interval) -> Interval:
    """Return an interval of scalars once they are rounded to the element type, float32 or float64.

    Open ends close; the smallest numbers become 0 and the largest infinite.
    """
    return Interval(min(a.low, _rounded(a.low)), max(a.high, _rounded(a.high)), True, True)


def _rounded(end: float) -> float:
    return float(np.float32(end)) if abs(end) < HUGE else math.copysign(INF, end)


def applied(op: Op, args: tuple[Interval, ...], elements: bool = False) -> Interval:
    """Return bounds on what an operation on numbers gives: in float64, or of `elements` in float32 or float64."""
    if op in (Op.MIN, Op.MAX, Op.NEG, Op.ABS, Op.SIGN, Op.SIN, Op.COS, Op.MOD):
        return _exact(op, args)
    square = op is Op.POW and args[1] == point(2.0)
    once = square or op in (Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.SQRT)
    result = _widened(_computed(op, args), elements, once)
    if op is Op.POW and args[0].low >= 0 and args[0].high <= 1 and args[1].low >= 1:
        # A power of a number up to 1 with an exponent of at least 1 isn't above that number, rounded or not.
        return meet(result, Interval(0.0, args[0].high, True, args[0].high_closed))
    return result


def _exact(op: Op, args: tuple[Interval, ...]) -> Interval:
    a = args[0]
    match op:
        case Op.NEG:
            return negated(a)
        case Op.MAX:
            return _larger(a, args[1])
        case Op.MIN:
            return negated(_larger(negated(a), negated(args[1])))
        case Op.ABS:
            return (
                a
                if a.low >= 0
                else negated(a)
                if a.high <= 0
                else replace(hull(a, negated(a)), low=0.0, low_closed=True)
            )
        case Op.SIGN:
            low = 1.0 if is_positive(a) else 0.0 if a.low >= 0 else -1.0
            high = -1.0 if is_positive(negated(a)) else 0.0 if a.high <= 0 else 1.0
            return Interval(low, high, True, True)
        case Op.MOD:
            return _remainder(a, args[1])
    return AT_MOST_ONE


def _remainder(a: Interval, b: Interval) -> Interval:
    """Return the range of a remainder: from 0 to the divisor, which rounding may reach."""
    if b.low >= 0:
        return Interval(0.0, min(a.high, b.high) if a.low >= 0 else b.high, True, True)
    if b.high <= 0:
        return Interval(max(a.low, b.low) if a.high <= 0 else b.low, 0.0, True, True)
    return Interval(b.low, b.high, True, True)


def _larger(a: Interval, b: Interval) -> Interval:
    low = max(a.low, b.low)
    closed = (a.low < low or a.low_closed) and (b.low < low or b.low_closed)
    return replace(hull(a, b), low=low, low_closed=closed)


def _computed(op: Op, args: tuple[Interval, ...]) -> Interval:
    a = args[0]
    match op:
        case Op.ADD:
            return _sum(a, args[1])
        case Op.SUB:
            return _sum(a, negated(args[1]))
        case Op.MUL:
            return _product(a, args[1])
        case Op.DIV:
            return _quotient(a, args[1])
        case Op.POW:
            return _power(a, args[1])
    if op in _FROM:
        least, function = _FROM[op]
        if a.high < least:
            return ANY
        low = max(a.low, least)
        closed = a.low_closed or a.low < least
        return Interval(function(low), function(a.high), closed, a.high_closed)
    function = _MONOTONE[op]
    return Interval(function(a.low), function(a.high), True, True)


def _widened(a: Interval, elements: bool, once: bool) -> Interval:
    """Move computed ends outward where rounding may pass them."""

    def moved(end: float) -> float:
        with np.errstate(over="ignore"):  # beyond the largest float32 it is infinite, and so not the same
            settled = once and (not elements or float(np.float32(end)) == end)
        if end == 0 or not math.isfinite(end) or settled:
            return 0.0
        return abs(end) * (_ELEMENT_SLACK if elements else _SCALAR_SLACK)

    low, high = moved(a.low), moved(a.high)
    return Interval(a.low - low, a.high + high, a.low_closed or low > 0, a.high_closed or high > 0)


def _sum(a: Interval, b: Interval) -> Interval:
    low = a.low + b.low
    high = a.high + b.high
    low = -INF if math.isnan(low) else low
    high = INF if math.isnan(high) else high
    # A sum of floats is 0 only where its terms cancel exactly, so an end at 0 is as open as the terms'.
    return Interval(
        low, high, low != 0 or (a.low_closed and b.low_closed), high != 0 or (a.high_closed and b.high_closed)
    )


def _product(a: Interval, b: Interval) -> Interval:
    corners = [0.0 if 0 in (p, q) else p * q for p in (a.low, a.high) for q in (b.low, b.high)]
    return Interval(min(corners), max(corners), True, True)


def _quotient(a: Interval, b: Interval) -> Interval:
    if is_positive(negated(b)):
        return _quotient(negated(a), negated(b))
    if not is_positive(b):
        return ANY
    corners = [_ratio(p, q) for p in (a.low, a.high) for q in (b.low, b.high)]
    return Interval(min(corners), max(corners), True, True)


def _ratio(p: float, q: float) -> float:
    """Return a corner of a quotient: a denominator of 0 stands for the smallest numbers above it."""
    if p == 0:
        return 0.0
    if q == 0:
        return math.copysign(INF, p)
    ratio = p / q
    return math.copysign(INF, p) if math.isnan(ratio) else ratio


def _power(a: Interval, b: Interval) -> Interval:
    if is_point(b) and b.low == ieee.floor(b.low):
        return _whole_power(a, b.low)
    if a.low < 0 and not is_point(b):
        return ANY
    base = meet(a, NOT_NEGATIVE)
    if is_empty(base):
        return ANY
    corners = [ieee.power(p, q) for p in (base.low, base.high) for q in (b.low, b.high)]
    return Interval(min(corners), max(corners), True, True)


def _whole_power(a: Interval, exponent: float) -> Interval:
    if exponent == 0 or math.isinf(exponent):
        return point(1.0) if exponent == 0 else ANY
    if exponent < 0:
        return _quotient(point(1.0), _underflowing(a, _whole_power(a, -exponent)))
    even = exponent % 2 == 0
    base = _exact(Op.ABS, (a,)) if even else a
    return Interval(ieee.power(base.low, exponent), ieee.power(base.high, exponent), True, True)


def _underflowing(base: Interval, power: Interval) -> Interval:
    """Return the range of a power; it is 0 where it underflows, even if its base isn't."""
    small = power.low == 0 and without_zero(base)
    return replace(power, low_closed=True) if small else power
