"""Expressions to SymPy and back, node by node.

No text passes between the two: SymPy's parsers and code printers execute what they are given. An author's name never
reaches SymPy either; symbols are called v0, v1, … in the order they are met, so that the order SymPy puts terms in
depends on the expression alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias, assert_never

from optdsl.algebra.construct import Sym, Value, admitted, number, operation, select
from optdsl.algebra.limits import check_size
from optdsl.algebra.restore import Unrepresentable, restored
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Fold, Kind, Role, RowFold, Rule, Symbol

Reduction: TypeAlias = ir.Reduce | ir.ReduceRows


class Bridge:
    """Goes to SymPy and back for the symbols of one rule.

    `positive` are symbols taken to be above 0, besides what the declared intervals say.
    """

    def __init__(self, rule: Rule | None = None, positive: Collection[Symbol] = ()) -> None:
        self.intervals = {} if rule is None else {hyper.symbol: hyper.interval for hyper in rule.hypers}
        self.positive = frozenset(positive)
        self.values: dict[Symbol | Reduction, Value] = {}
        self.origins: dict[Value, ir.Expr] = {}

    def to_sympy(self, expr: ir.Expr) -> Value:
        """Return the SymPy form of an expression.

        Raises `TooLarge` for one over the limits, and `NotReal` for one that has no real value.
        """
        check_size(expr)
        known: dict[int, Value] = {}

        def walk(node: ir.Expr) -> Value:
            if id(node) not in known:
                known[id(node)] = admitted(convert(node))
            return known[id(node)]

        def convert(node: ir.Expr) -> Value:
            match node:
                case ir.Number(value):
                    return number(value)
                case ir.Truth(value):
                    return Sym.true if value else Sym.false
                case ir.Ref(symbol):
                    return self.symbol(symbol)
                case ir.Reduce() | ir.ReduceRows():
                    return self._opaque(node)
                case ir.Select(condition, chosen, other):
                    return select(walk(condition), walk(chosen), walk(other), ir.kind(chosen))
                case ir.Apply(op, args):
                    return operation(op, tuple(walk(arg) for arg in args))
            assert_never(node)

        return walk(expr)

    def from_sympy(self, value: Value) -> ir.Expr:
        """Return the expression a SymPy value stands for, the same in every run.

        Raises `Unrepresentable` where the language has no such thing.
        """
        try:
            return restored(value, self.origins)
        except RecursionError:
            raise Unrepresentable("the value is nested too deeply") from None

    def symbol(self, symbol: Symbol) -> Value:
        """Return the SymPy symbol that stands for one of ours."""
        if symbol not in self.values:
            self._enter(symbol, ir.Ref(symbol), self._assumptions(symbol))
        return self.values[symbol]

    def _opaque(self, node: Reduction) -> Value:
        """Return a real symbol for a reduction: its elements are beyond scalar algebra."""
        if node not in self.values:
            square = node.fold in (Fold.DOT, RowFold.DOT) and node.args[0] == node.args[1]
            square = square or node.fold in (RowFold.NORM, RowFold.RMS)
            self._enter(node, node, {"nonnegative": True} if square else {"real": True})
        return self.values[node]

    def _enter(self, key: Symbol | Reduction, origin: ir.Expr, assumptions: Mapping[str, bool]) -> None:
        value = Sym.Symbol(f"v{len(self.values)}", **assumptions)
        self.values[key] = value
        self.origins[value] = origin

    def _assumptions(self, symbol: Symbol) -> dict[str, bool]:
        if symbol.kind is Kind.BOOLEAN:
            return {}
        if symbol in self.positive:
            return {"positive": True}
        match symbol.role:
            case Role.STEP | Role.SIZE:
                return {"integer": True, "positive": True}
            case Role.NDIM:
                return {"integer": True, "nonnegative": True}
            case Role.HYPER:
                return _interval_assumptions(self.intervals.get(symbol))
            case Role.GRADIENT | Role.OLD | Role.NEW | Role.LOCAL:
                return {"real": True}
        assert_never(symbol.role)


def _interval_assumptions(interval: Interval | None) -> dict[str, bool]:
    """Return what an interval says of a number, as far as SymPy has words for it."""
    if interval is None:
        return {"real": True}
    if interval.low >= 0:
        return {"nonnegative": True} if 0 in interval else {"positive": True}
    if interval.high <= 0:
        return {"nonpositive": True} if 0 in interval else {"negative": True}
    return {"real": True}
