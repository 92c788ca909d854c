"""SymPy's form of each primitive operation, and what is refused.

Values are real: where an expression would leave the real numbers, or is undefined as a constant, it is refused. So are
numbers that only a long calculation in C could write out, which no time limit would stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, assert_never

import sympy

from optdsl.algebra.limits import LARGEST_CONSTANT, LARGEST_EXPONENT, LARGEST_NUMBER, TooLarge, Unknown
from optdsl.ir.nodes import Kind, Op

Sym: Any = sympy
"""SymPy, which has no types."""
Value = Any
"""A SymPy expression."""


class NotReal(Unknown):
    """The expression has a part that is undefined, infinite or not real, whatever its symbols stand for."""


def number(value: Fraction | float) -> Value:
    """Return an exact number, or an infinity."""
    if isinstance(value, Fraction):
        if max(abs(value.numerator).bit_length(), value.denominator.bit_length()) > LARGEST_NUMBER:
            raise TooLarge(f"a number has more than {LARGEST_NUMBER:,} bits")
        return Sym.Rational(value.numerator, value.denominator)
    return Sym.oo if value > 0 else -Sym.oo


def select(condition: Value, chosen: Value, other: Value, kind: Kind) -> Value:
    """Return a choice between numbers or truth values."""
    if condition in (Sym.true, Sym.false):
        return chosen if condition == Sym.true else other
    if kind is Kind.BOOLEAN:
        return Sym.ITE(condition, chosen, other)
    return Sym.Piecewise((chosen, condition), (other, True))


def admitted(value: Value) -> Value:
    """Return a value that SymPy can be trusted with; raise `TooLarge` or `NotReal` for any other."""
    if value in (Sym.oo, -Sym.oo) or _is_truth(value):
        return value
    for term in value.args if value.is_Add else (value,):
        coefficient, rest = term.as_coeff_Mul()
        if _bits(coefficient) > LARGEST_NUMBER:
            raise TooLarge(f"a number has more than {LARGEST_NUMBER:,} bits")
        for factor in (coefficient, *Sym.Mul.make_args(rest)):
            if factor in (Sym.I, Sym.zoo, Sym.nan):
                raise NotReal("a part is undefined or not real")
            exponent = factor.as_base_exp()[1]
            if exponent.is_Rational and abs(exponent) > LARGEST_EXPONENT:
                raise TooLarge(f"an exponent is over {LARGEST_EXPONENT:,}")
    if value.is_number and not value.is_Rational:
        _approximate(value)
    return value


def _is_truth(value: Value) -> bool:
    """Return whether a value may be a truth value (a bare symbol may)."""
    return isinstance(value, Sym.logic.boolalg.Boolean)


def operation(op: Op, args: tuple[Value, ...]) -> Value:
    """Return a primitive operation; raise `NotReal` where SymPy sees that it has no real value."""
    try:
        return _sympy_operation(op, args)
    except (TypeError, ValueError):
        # SymPy's way of saying that numbers it can't order (complex, undefined) were compared.
        raise NotReal(f"`{op}` is given something that isn't a real number") from None


def _sympy_operation(op: Op, args: tuple[Value, ...]) -> Value:
    match op:
        case Op.NEG:
            return -args[0]
        case Op.ADD:
            return args[0] + args[1]
        case Op.SUB:
            return args[0] - args[1]
        case Op.MUL:
            return args[0] * args[1]
        case Op.DIV:
            return args[0] * _power(args[1], Sym.Integer(-1))
        case Op.MOD:
            if args[1] == 0:
                raise NotReal("a remainder of a division by 0 isn't a number")
            return Sym.Mod(*args)
        case Op.POW:
            return _power(args[0], args[1])
        case Op.LT:
            return Sym.Lt(*args)
        case Op.LE:
            return Sym.Le(*args)
        case Op.GT:
            return Sym.Gt(*args)
        case Op.GE:
            return Sym.Ge(*args)
        case Op.EQ:
            return Sym.Eq(*args)
        case Op.NE:
            return Sym.Ne(*args)
        case Op.AND:
            return Sym.And(*args)
        case Op.OR:
            return Sym.Or(*args)
        case Op.NOT:
            return Sym.Not(*args)
        case Op.ABS:
            return Sym.Abs(*args)
        case Op.SIGN:
            return Sym.sign(*args)
        case Op.SQRT:
            return _power(args[0], Sym.Rational(1, 2))
        case Op.CBRT:
            # SymPy's own cube root of a negative number is complex.
            return Sym.sign(args[0]) * _power(Sym.Abs(args[0]), Sym.Rational(1, 3))
        case Op.EXP:
            return Sym.exp(*args)
        case Op.EXPM1:
            return Sym.exp(*args) - 1
        case Op.LOG:
            return Sym.log(*args)
        case Op.LOG1P:
            return Sym.log(1 + args[0])
        case Op.SIN:
            return Sym.sin(*args)
        case Op.COS:
            return Sym.cos(*args)
        case Op.TANH:
            return Sym.tanh(*args)
        case Op.FLOOR:
            return Sym.floor(*args)
        case Op.MIN:
            return Sym.Min(*args)
        case Op.MAX:
            return Sym.Max(*args)
    assert_never(op)


def _power(base: Value, exponent: Value) -> Value:
    """Return a power, refusing one that SymPy would write out in digits."""
    if exponent.is_Rational and exponent != -1:
        bits = max((_bits(number) for number in base.atoms(Sym.Rational)), default=0)
        if bits * abs(exponent) > LARGEST_NUMBER:
            raise TooLarge(f"a power has more than {LARGEST_NUMBER:,} bits")
    return base**exponent


def _bits(number: Value) -> int:
    """Return the bits of a rational number; none for -1, 0 and 1, whose powers don't grow."""
    if not number.is_Rational:
        return 0
    largest = max(abs(int(number.p)), int(number.q))
    return largest.bit_length() if largest > 1 else 0


_FUNCTIONS: dict[Any, Callable[[float], float]] = {
    Sym.exp: math.exp,
    Sym.log: math.log,
    Sym.sin: math.sin,
    Sym.cos: math.cos,
    Sym.tanh: math.tanh,
    Sym.Abs: abs,
    Sym.sign: lambda a: math.copysign(1.0, a),
    Sym.floor: math.floor,
    Sym.ceiling: math.ceil,
}


def _approximate(value: Value) -> float:
    """Return a constant roughly, raising `TooLarge` where it or a part is huge and `NotReal` where it isn't real."""
    if value in (Sym.nan, Sym.zoo, Sym.oo, -Sym.oo, Sym.I):
        raise NotReal("a constant is undefined, infinite or not real")
    if value.is_Atom:
        return float(value)
    if isinstance(value, Sym.Piecewise) or not value.args:
        return 0.0  # its parts were admitted one by one
    parts = [_approximate(part) for part in value.args if not _is_truth(part)]
    try:
        result = _combined(value, parts)
    except OverflowError:
        raise TooLarge("a constant is too large") from None
    except (ValueError, ZeroDivisionError):
        raise NotReal("a constant is undefined or not real") from None
    if abs(result) > LARGEST_CONSTANT:
        raise TooLarge("a constant is too large")
    return result


def _combined(value: Value, parts: list[float]) -> float:
    if value.is_Add:
        return math.fsum(parts)
    if value.is_Mul:
        return math.prod(parts)
    if value.is_Pow:
        return math.pow(parts[0], parts[1])
    if value.func == Sym.Mod:
        return parts[0] % parts[1]
    function = _FUNCTIONS.get(value.func)
    return max(parts) if function is None else float(function(parts[0]))
