"""Expressions of the language for values of SymPy, the same in every run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from typing import Any

from optdsl.algebra.construct import Sym, Value
from optdsl.algebra.limits import LARGEST_NUMBER
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Op


class Unrepresentable(Exception):
    """A SymPy expression has no counterpart in the language."""


_UNARY: dict[Any, Op] = {
    Sym.Abs: Op.ABS,
    Sym.sign: Op.SIGN,
    Sym.exp: Op.EXP,
    Sym.log: Op.LOG,
    Sym.sin: Op.SIN,
    Sym.cos: Op.COS,
    Sym.tanh: Op.TANH,
    Sym.floor: Op.FLOOR,
    Sym.Not: Op.NOT,
}
_BINARY: dict[Any, Op] = {
    Sym.StrictLessThan: Op.LT,
    Sym.LessThan: Op.LE,
    Sym.StrictGreaterThan: Op.GT,
    Sym.GreaterThan: Op.GE,
    Sym.Equality: Op.EQ,
    Sym.Unequality: Op.NE,
    Sym.Mod: Op.MOD,
}
_FOLDED: dict[Any, Op] = {Sym.And: Op.AND, Sym.Or: Op.OR, Sym.Min: Op.MIN, Sym.Max: Op.MAX}


def restored(value: Value, origins: Mapping[Value, ir.Expr]) -> ir.Expr:
    """Return the expression a value stands for; `origins` says where symbols came from."""
    known: dict[Value, ir.Expr] = dict(origins)

    def walk(node: Value) -> ir.Expr:
        if node not in known:
            known[node] = convert(node)
        return known[node]

    def convert(node: Value) -> ir.Expr:
        if node in (Sym.true, Sym.false):
            return ir.Truth(bool(node))
        if node.is_Rational:
            return _literal(Fraction(int(node.p), int(node.q)))
        if node in (Sym.oo, -Sym.oo):
            infinity = ir.Number(math.inf, "inf")
            return infinity if node == Sym.oo else ir.Apply(Op.NEG, (infinity,))
        if node == Sym.E:
            return ir.Apply(Op.EXP, (ir.number(1),))
        if node.is_Add:
            return _sum(Sym.Add.make_args(node), walk)
        if node.is_Mul:
            return _product(node, walk)
        if node.is_Pow:
            return _root_or_power(node, walk)
        return _call(node, walk)

    return walk(value)


def _call(node: Value, walk: Callable[[Value], ir.Expr]) -> ir.Expr:
    if node.func in _UNARY:
        return ir.Apply(_UNARY[node.func], (walk(node.args[0]),))
    if node.func == Sym.ceiling:
        return ir.Apply(Op.NEG, (ir.Apply(Op.FLOOR, (walk(-node.args[0]),)),))
    if node.func in _BINARY:
        return ir.Apply(_BINARY[node.func], (walk(node.args[0]), walk(node.args[1])))
    if node.func in _FOLDED:
        return _folded(_FOLDED[node.func], [walk(arg) for arg in _ordered(node.args)])
    if isinstance(node, Sym.ITE):
        condition, chosen, other = (walk(arg) for arg in node.args)
        return ir.Select(condition, chosen, other)
    if isinstance(node, Sym.Piecewise) and node.args[-1].cond == Sym.true:
        result = walk(node.args[-1].expr)
        for pair in reversed(node.args[:-1]):
            result = ir.Select(walk(pair.cond), walk(pair.expr), result)
        return result
    raise Unrepresentable(f"the language has nothing for SymPy's {type(node).__name__}")


def _ordered(values: Collection[Value]) -> list[Value]:
    """Return the arguments of a commutative operation in an order that doesn't follow the hash seed."""
    return sorted(values, key=Sym.default_sort_key)


def _literal(value: Fraction) -> ir.Expr:
    if max(abs(value.numerator), value.denominator).bit_length() > LARGEST_NUMBER:
        raise Unrepresentable(f"a number has more than {LARGEST_NUMBER:,} bits")
    return ir.number(value) if value >= 0 else ir.Apply(Op.NEG, (ir.number(-value),))


def _folded(op: Op, args: list[ir.Expr]) -> ir.Expr:
    result = args[0]
    for arg in args[1:]:
        result = ir.Apply(op, (result, arg))
    return result


def _sum(terms: Collection[Value], walk: Callable[[Value], ir.Expr]) -> ir.Expr:
    """Return a sum with the positive terms first, the others subtracted."""
    ordered = _ordered(terms)
    negative = [term for term in ordered if term.as_coeff_Mul()[0].is_negative]
    positive = [term for term in ordered if not term.as_coeff_Mul()[0].is_negative]
    if not positive:
        return ir.Apply(Op.NEG, (_folded(Op.ADD, [walk(-term) for term in negative]),))
    result = _folded(Op.ADD, [walk(term) for term in positive])
    for term in negative:
        result = ir.Apply(Op.SUB, (result, walk(-term)))
    return result


def _product(node: Value, walk: Callable[[Value], ir.Expr]) -> ir.Expr:
    """Return a product as one quotient of products."""
    coefficient, rest = node.as_coeff_Mul()
    if not coefficient.is_Rational:
        raise Unrepresentable("an infinite multiple has no counterpart")
    above: list[ir.Expr] = []
    below: list[ir.Expr] = []
    for factor in _ordered(Sym.Mul.make_args(rest)):
        base, exponent = factor.as_base_exp()
        inverse = factor.is_Pow and exponent.is_Rational and exponent < 0
        (below if inverse else above).append(walk(base**-exponent if inverse else factor))
    numerator, denominator = abs(int(coefficient.p)), int(coefficient.q)
    above = [_literal(Fraction(numerator)), *above] if numerator != 1 or not above else above
    below = [_literal(Fraction(denominator)), *below] if denominator != 1 else below
    result = _folded(Op.MUL, above)
    if below:
        result = ir.Apply(Op.DIV, (result, _folded(Op.MUL, below)))
    return ir.Apply(Op.NEG, (result,)) if coefficient < 0 else result


def _root_or_power(node: Value, walk: Callable[[Value], ir.Expr]) -> ir.Expr:
    base, exponent = node.args
    if exponent.is_Rational and exponent < 0:
        return ir.Apply(Op.DIV, (ir.number(1), walk(base**-exponent)))
    if exponent == Sym.Rational(1, 2):
        return ir.Apply(Op.SQRT, (walk(base),))
    return ir.Apply(Op.POW, (walk(base), walk(exponent)))
