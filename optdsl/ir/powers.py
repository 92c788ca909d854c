"""Whole-number powers: part of the meaning of the language, so that no target calls `pow` for a square.

`a^n` with a literal whole n from 1 to 64 is a product by repeated squaring, and `a^-n` its reciprocal.
"""

from __future__ import annotations

from fractions import Fraction

from optdsl.ir.nodes import Apply, Expr, Number, Op, number, operands, rebuild

LARGEST = 64


def whole_exponent(exponent: Expr) -> int | None:
    """Return the literal whole exponent in [-64, -1] or [1, 64], or None."""
    sign = 1
    if isinstance(exponent, Apply) and exponent.op is Op.NEG:
        sign, exponent = -1, exponent.args[0]
    if not isinstance(exponent, Number) or not isinstance(exponent.value, Fraction):
        return None
    value = sign * exponent.value
    return int(value) if value.denominator == 1 and 1 <= abs(value) <= LARGEST else None


def expand(expr: Expr) -> Expr:
    """Replace every whole-number power in an expression by products."""
    parts = tuple(expand(part) for part in operands(expr))
    expr = rebuild(expr, parts)
    if not isinstance(expr, Apply) or expr.op is not Op.POW:
        return expr
    exponent = whole_exponent(expr.args[1])
    if exponent is None:
        return expr
    product = _product(expr.args[0], abs(exponent), expr)
    return product if exponent > 0 else Apply(Op.DIV, (number(1), product), expr.span)


def _product(base: Expr, exponent: int, origin: Apply) -> Expr:
    if exponent == 1:
        return base
    half = _product(base, exponent // 2, origin)
    square = Apply(Op.MUL, (half, half), origin.span)
    return square if exponent % 2 == 0 else Apply(Op.MUL, (square, base), origin.span)
