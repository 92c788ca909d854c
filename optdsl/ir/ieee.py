"""Scalar arithmetic as IEEE 754 float64 has it: special values instead of Python's exceptions.

`1/0` is infinity and `sqrt(-1)` is NaN, as in C and NumPy. Addition, subtraction and multiplication of Python floats
behave so already.
"""

from __future__ import annotations

import math
from collections.abc import Callable

INF = math.inf
NAN = math.nan


def divide(a: float, b: float) -> float:
    """Return a / b."""
    try:
        return a / b
    except ZeroDivisionError:
        return NAN if a != a or a == 0.0 else math.copysign(INF, a) * math.copysign(1.0, b)


def modulo(a: float, b: float) -> float:
    """Return the remainder a - b*floor(a/b), without rounding on the way; it has the sign of b. NaN for b = 0."""
    try:
        return a % b
    except ZeroDivisionError:
        return NAN


def power(a: float, b: float) -> float:
    """Return a raised to b, as C's `pow` has it."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return -INF if a < 0.0 and math.fmod(b, 2.0) != 0.0 else INF
    except ValueError:
        if a != 0.0:
            return NAN
        odd = math.fmod(b, 2.0) != 0.0 and b == math.floor(b)
        return math.copysign(INF, a) if odd else INF


def _guarded(function: Callable[[float], float]) -> Callable[[float], float]:
    """Turn the domain errors of a function of `math` into NaN and its overflow into infinity."""

    def call(a: float) -> float:
        try:
            return function(a)
        except OverflowError:
            return INF
        except ValueError:
            return NAN

    call.__name__ = function.__name__
    return call


sqrt = _guarded(math.sqrt)
cbrt = _guarded(math.cbrt)
exp = _guarded(math.exp)
expm1 = _guarded(math.expm1)
sin = _guarded(math.sin)
cos = _guarded(math.cos)
tanh = math.tanh
absolute = math.fabs


def log(a: float) -> float:
    """Return the natural logarithm; minus infinity at 0."""
    return -INF if a == 0.0 else (math.log(a) if a > 0.0 else NAN)


def log1p(a: float) -> float:
    """Return log(1 + a); minus infinity at -1."""
    return -INF if a == -1.0 else (math.log1p(a) if a > -1.0 else NAN)


def floor(a: float) -> float:
    """Return the largest whole number not above a, keeping infinities, NaN and the sign of zero."""
    return math.copysign(float(math.floor(a)), a) if math.isfinite(a) and a != 0.0 else a


def sign(a: float) -> float:
    """Return -1, 0 or 1; NaN for NaN."""
    return 1.0 if a > 0.0 else -1.0 if a < 0.0 else 0.0 if a == 0.0 else a


def minimum(a: float, b: float) -> float:
    """Return the smaller of two numbers; NaN if either is; b where they are equal."""
    return a if a < b or a != a else b


def maximum(a: float, b: float) -> float:
    """Return the larger of two numbers; NaN if either is; b where they are equal."""
    return a if a > b or a != a else b
