"""Forms of an expression that SymPy finds. They are proposals: what comes of them is for the caller to judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction

from optdsl.algebra.bridge import Bridge
from optdsl.algebra.construct import Sym, Value
from optdsl.algebra.limits import TimedOut, clock, limited
from optdsl.ir import nodes as ir
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Expr, Rate, Symbol
from optdsl.ir.powers import expand

SECONDS = 0.25
"""Time for one form."""
MOST_NODES = 60
"""Nodes of an expression worth asking about."""
NODES_TOGETHER = 240
"""Nodes of all expressions of one rule that are asked about: counted, so that a rule has the same code everywhere."""
TOGETHER = 1.0
"""Time for all of them, should SymPy take longer than it usually does over so many."""


class Proposer:
    """Proposes forms for the expressions of one rule, for as long as SymPy answers in time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.nodes, self.left = NODES_TOGETHER, TOGETHER
        self.answers: dict[tuple[Expr, tuple[Symbol, ...]], list[Expr]] = {}

    def __call__(self, expr: Expr, positive: Collection[Symbol]) -> list[Expr]:
        """Return forms of an expression over symbols, each equal to it over the reals as far as SymPy knows.

        `positive` are symbols known to be above 0. After an answer that took too long there are no more.
        """
        question = expr, tuple(positive)
        if question not in self.answers:
            started = clock()
            self.answers[question] = list(dict.fromkeys(self._forms(*question)))
            self.left -= clock() - started
        return self.answers[question]

    def _forms(self, expr: Expr, positive: Collection[Symbol]) -> Iterator[Expr]:
        size = _size(expr)
        if size > min(MOST_NODES, self.nodes) or self.left <= 0:
            return
        self.nodes -= size
        bridge = Bridge(positive=positive)
        read = dict.fromkeys(symbols(expr))
        elements = [bridge.symbol(symbol) for symbol in read if symbol.rate is Rate.ELEMENT]
        scalars = [bridge.symbol(symbol) for symbol in read if symbol.rate is not Rate.ELEMENT]
        for transform in _TRANSFORMS:
            try:
                form = limited(lambda: transform(bridge.to_sympy(expr), elements, scalars), self.seconds)  # noqa: B023
                found = expand(bridge.from_sympy(form))
            except TimedOut:
                self.nodes = 0
                return
            except Exception:  # not only what says that there is no answer: SymPy raises whatever it likes
                continue
            if _literals_are_floats(found):
                yield _tidied(found)


Transform = Callable[[Value, list[Value], list[Value]], Value]


def _as_entered(value: Value, elements: list[Value], scalars: list[Value]) -> Value:
    """Return the form that SymPy gives an expression of itself."""
    return value


def _by_elements(value: Value, elements: list[Value], scalars: list[Value]) -> Value:
    """Return a sum with one term for each element: `x - lr*(m + w*x)` is `(1 - lr*w)*x - lr*m`."""
    return Sym.collect(Sym.expand_mul(value), elements)


def _by_scalars(value: Value, elements: list[Value], scalars: list[Value]) -> Value:
    """Return a sum with one term for each scalar: `c*x + c*m + g` is `c*(x + m) + g`."""
    return Sym.collect(Sym.expand_mul(value), scalars)


def _factored(value: Value, elements: list[Value], scalars: list[Value]) -> Value:
    """Return a sum with common factors taken out."""
    return Sym.factor_terms(value)


def _cancelled(value: Value, elements: list[Value], scalars: list[Value]) -> Value:
    """Return one fraction in lowest terms."""
    return Sym.factor_terms(Sym.cancel(value))


def _powers_joined(value: Value, elements: list[Value], scalars: list[Value]) -> Value:
    """Return a product with powers of one base, or of one exponent, made one."""
    return Sym.powsimp(value)


_TRANSFORMS: tuple[Transform, ...] = (_as_entered, _by_elements, _by_scalars, _factored, _powers_joined, _cancelled)


def _tidied(expr: Expr) -> Expr:
    """Return an expression with scalar factors before elements and decimal literals, as people write them."""
    expr = ir.rebuild(expr, tuple(_tidied(part) for part in ir.operands(expr)))
    match expr:
        case ir.Number(Fraction() as value) if Fraction(repr(float(value))) == value:
            short = f"{float(value):g}"
            return ir.Number(value, short if Fraction(short) == value else repr(float(value)))
        case ir.Apply(ir.Op.MUL, (left, right)) if ir.rate(left) is Rate.ELEMENT and ir.rate(right) is not Rate.ELEMENT:
            return ir.Apply(ir.Op.MUL, (right, left), expr.span)
    return expr


def _size(expr: Expr) -> int:
    return 1 + sum(_size(part) for part in ir.operands(expr))


def _literals_are_floats(expr: Expr) -> bool:
    """Return whether every literal has a float near it: SymPy's are exact, whatever their size."""
    if isinstance(expr, ir.Number) and isinstance(expr.value, Fraction) and expr.value != 0:
        away = math.log2(abs(expr.value.numerator)) - math.log2(expr.value.denominator)
        return abs(away) < 1000
    return all(_literals_are_floats(part) for part in ir.operands(expr))
