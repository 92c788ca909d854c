"""Powers with literal exponents: part of the meaning of the language, so that no target calls `pow` for a square.

`a^n` with a literal whole n from 1 to 64 is a product by repeated squaring, and `a^-n` its reciprocal. `a^0.5` is the
square root, and `a^-0.5` its reciprocal: compilers and libraries disagree on whether `pow` knows that.
"""

from __future__ import annotations

from fractions import Fraction

from optdsl.ir.nodes import Apply, Expr, Number, Op, number, operands, rebuild

LARGEST = 64


def _literal(exponent: Expr) -> Fraction | None:
    """Return the value of a literal with or without a sign, or None."""
    if isinstance(exponent, Apply) and exponent.op is Op.NEG:
        value = _literal(exponent.args[0])
        return None if value is None else -value
    return exponent.value if isinstance(exponent, Number) and isinstance(exponent.value, Fraction) else None


def whole_exponent(exponent: Expr) -> int | None:
    """Return the literal whole exponent in [-64, -1] or [1, 64], or None."""
    value = _literal(exponent)
    return int(value) if value is not None and value.denominator == 1 and 1 <= abs(value) <= LARGEST else None


def expand(expr: Expr) -> Expr:
    """Replace every power with a whole or half exponent in an expression by products and roots."""
    parts = tuple(expand(part) for part in operands(expr))
    expr = rebuild(expr, parts)
    if not isinstance(expr, Apply) or expr.op is not Op.POW:
        return expr
    exponent = _literal(expr.args[1])
    if exponent is None:
        return expr
    whole = whole_exponent(expr.args[1])
    if abs(exponent) == Fraction(1, 2):
        power: Expr = Apply(Op.SQRT, expr.args[:1], expr.span)
    elif whole is not None:
        power = _product(expr.args[0], abs(whole), expr)
    else:
        return expr
    return power if exponent > 0 else Apply(Op.DIV, (number(1), power), expr.span)


def _product(base: Expr, exponent: int, origin: Apply) -> Expr:
    if exponent == 1:
        return base
    half = _product(base, exponent // 2, origin)
    square = Apply(Op.MUL, (half, half), origin.span)
    return square if exponent % 2 == 0 else Apply(Op.MUL, (square, base), origin.span)
